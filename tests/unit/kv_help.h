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

#include <cmocka.h>

#include "kv/backend.h"

#define WAIT_MS 20000

struct fixture {
    bool rocks;
    char dir[64]; /* rocks only */
    struct kv *kv;
};
int setup_memory(void **state);
int setup_rocks(void **state);
int teardown(void **state);
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

#endif
