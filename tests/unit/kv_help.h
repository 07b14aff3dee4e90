/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of src/kv share: stores in fresh folders, a closure driven by a little script, a gate that holds the
 * committer so that the next closures form one batch. */
#ifndef BELFRY_TEST_KV_HELP_H
#define BELFRY_TEST_KV_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "kv/backend.h"

/* RocksDB is not instrumented: ThreadSanitizer would report its locks as races of ours. */
#ifdef __SANITIZE_THREAD__
#define WITH_ROCKS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_ROCKS 0
#endif
#endif
#ifndef WITH_ROCKS
#define WITH_ROCKS 1
#endif

#define WAIT_MS 20000

struct fixture {
    bool rocks;
    char dir[64]; /* rocks only */
    struct kv *kv;
};
int setup_memory(void **state);
int setup_rocks(void **state);
int teardown(void **state);
void shut(struct fixture *f);
/* Closes and opens again; rocks only. */
void reopen(struct fixture *f);
void remove_dir(const char *dir);

/* --- a closure as a script ---------------------------------------------------------------------------------------- */

enum step_kind { STEP_END, GET, PUT, DEL, RANGE, ADD, COUNTERS, SEQUENCE, ABORT, HOOK };
struct step {
    enum step_kind kind;
    enum kv_space space;
    const char *key, *value;
    int64_t delta[KV_COUNTERS];
    /* what the closure saw: */
    enum kv_result saw;
    char got[64];
    int64_t counters[KV_COUNTERS];
    uint64_t sequence;
    void (*hook)(void *);
    void *arg;
};
/* ctx: struct step[], ended by STEP_END. */
bool run_script(struct kv_txn *t, void *ctx);
#define SCRIPT(...) ((struct step[]){__VA_ARGS__, {0}})
enum kv_outcome run(struct kv *kv, struct step *steps, unsigned flags);

/* --- looking ------------------------------------------------------------------------------------------------------ */

void assert_row(struct kv *kv, enum kv_space space, const char *key, const char *value);
void assert_no_row(struct kv *kv, enum kv_space space, const char *key);
/* "a=1 b=2" for the rows in [first, end). */
void assert_scan(struct kv *kv, enum kv_space space, const char *first, const char *end, const char *want);
void assert_counters(struct kv *kv, const char *key, int64_t first, int64_t second);

/* --- numbered changes --------------------------------------------------------------------------------------------- */

/* Each is three rows in the three spaces, a counter and a sequence number, found together or not at all. */
struct writer {
    struct kv *kv;
    char id;
    unsigned n;
};
void numbered_key(char out[16], char id, unsigned n);
bool write_numbered(struct kv_txn *t, void *ctx); /* ctx: struct writer */
/* Numbers 0 to n - 1 of 'a', unsynced. */
void write_many(struct kv *kv, unsigned n);
/* Those of `acked` (9 bytes and a line feed each, `size` in all) are there; whatever is there is whole, counted, and
 * below the high-water mark. */
void check_numbered(struct kv *kv, const char *acked, size_t size);

/* --- a gate ------------------------------------------------------------------------------------------------------- */

struct gate {
    struct mutex mutex;
    struct cond cond;
    bool reached, open;
};
void gate_init(struct gate *g);
void gate_release(struct gate *g);
/* On the committer or a loop: says it is there, waits until gate_open. */
void gate_pass(struct gate *g);
void gate_await(struct gate *g); /* until somebody is at the gate */
void gate_open(struct gate *g);
/* A closure (ctx: struct gate) that writes nothing. */
bool gate_closure(struct kv_txn *t, void *ctx);

/* Counts calls; waits for a number of them with a deadline. */
struct tally {
    struct mutex mutex;
    struct cond cond;
    unsigned n, outcomes[3];
};
void tally_init(struct tally *t);
void tally_release(struct tally *t);
void tally_done(void *ctx, enum kv_outcome outcome); /* ctx: struct tally */
void tally_await(struct tally *t, unsigned n);

/* --- a batch ------------------------------------------------------------------------------------------------------ */

/* Queues scripts while the committer is held at a gate, so that they run as one batch; waits for all. */
struct held {
    struct gate gate;
    struct tally tally;
    struct kv_commit first, v[80];
    unsigned n;
};
struct scripted {
    struct step *steps;
    struct tally *tally;
};
bool scripted_run(struct kv_txn *t, void *ctx); /* ctx: struct scripted */
void scripted_done(void *ctx, enum kv_outcome outcome);
void hold_begin(struct held *h, struct kv *kv);
/* s lasts until the end. */
void hold_script(struct held *h, struct kv *kv, struct scripted *s, struct step *steps, unsigned flags);
void hold_end(struct held *h);

#endif
