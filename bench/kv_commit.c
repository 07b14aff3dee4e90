/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast the committer is by itself: commits per second with a given number outstanding, each what a small PUT is
 * (one conditional read, a 300-byte row, a 1 KiB body, a 900-byte outbox row), synced.
 *
 *     kv_commit DIR OUTSTANDING SECONDS [nosync]
 *
 * DIR must not exist or be empty. Prints commits, batches and the mean time of a batch. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "kv/kv.h"

enum { ROW = 300, BODY = 1024, RECORD = 900 };

struct bench {
    struct kv *kv;
    struct loop loop;
    int64_t stop_ns;
    unsigned running;
    uint64_t number, commits;
    char bytes[BODY];
};
struct slot {
    struct bench *bench;
    struct kv_commit commit;
    char object[48], body[24];
};

static bool put(struct kv_txn *t, void *ctx)
{
    struct slot *s = ctx;
    struct kv_value v = {0};
    if (kv_txn_get(t, KV_META, str_c(s->object), &v) == KV_FOUND) {
        kv_value_release(&v);
        return false;
    }
    char queue[24];
    snprintf(queue, sizeof(queue), "q1%016llx", (unsigned long long)kv_txn_sequence(t));
    kv_txn_put(t, KV_META, str_c(s->object), str_n(s->bench->bytes, ROW));
    kv_txn_put(t, KV_DATA, str_c(s->body), str_n(s->bench->bytes, BODY));
    kv_txn_put(t, KV_QUEUE, str_c(queue), str_n(s->bench->bytes, RECORD));
    kv_txn_add(t, STR("n1"), (int64_t[KV_COUNTERS]){1, BODY});
    return true;
}

static void submit(struct slot *s)
{
    struct bench *b = s->bench;
    uint64_t n = b->number++;
    /* Keys in no order, as those of many clients are. */
    snprintf(s->object, sizeof(s->object), "o0001photos/%016llx.jpg",
             (unsigned long long)(n * 0x9e3779b97f4a7c15u));
    snprintf(s->body, sizeof(s->body), "%016llx", (unsigned long long)n);
    kv_commit(b->kv, &s->commit);
}

static void done(void *ctx, enum kv_outcome outcome)
{
    struct slot *s = ctx;
    struct bench *b = s->bench;
    if (outcome != KV_COMMITTED)
        BUG("a commit failed");
    b->commits++;
    if (clock_mono_ns() < b->stop_ns)
        submit(s);
    else if (--b->running == 0)
        loop_stop(&b->loop);
}

int main(int argc, char **argv)
{
    uint64_t outstanding, seconds;
    if (argc < 4 || !str_to_u64(str_c(argv[2]), &outstanding) || !str_to_u64(str_c(argv[3]), &seconds)) {
        fprintf(stderr, "usage: kv_commit DIR OUTSTANDING SECONDS [nosync]\n");
        return 2;
    }
    static struct bench b;
    struct err e;
    int64_t start = clock_mono_ns();
    b.kv = kv_open(argv[1], NULL, &e);
    if (!b.kv) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    double open_ms = (double)(clock_mono_ns() - start) / 1e6;
    hash_random(b.bytes, sizeof(b.bytes));
    loop_init(&b.loop);
    struct slot *slots = x_calloc(outstanding, sizeof(*slots));
    start = clock_mono_ns();
    b.stop_ns = start + (int64_t)seconds * 1000000000;
    b.running = (unsigned)outstanding;
    for (uint64_t i = 0; i < outstanding; i++) {
        slots[i].bench = &b;
        slots[i].commit = (struct kv_commit){.fn = put,
                                             .done = done,
                                             .ctx = &slots[i],
                                             .loop = &b.loop,
                                             .bytes = 2400,
                                             .flags = argc > 4 ? KV_NOSYNC : 0};
        submit(&slots[i]);
    }
    loop_run(&b.loop);
    double s = (double)(clock_mono_ns() - start) / 1e9;
    struct kv_stats st;
    kv_get_stats(b.kv, &st);
    printf("outstanding %3llu: %8.0f commits/s, %7.0f batches/s, %5.1f commits a batch, %6.1f us a batch; "
           "opened in %.1f ms\n",
           (unsigned long long)outstanding, (double)b.commits / s, (double)st.batches / s,
           (double)b.commits / (double)st.batches, s * 1e6 / (double)st.batches, open_ms);
    loop_release(&b.loop);
    kv_close(b.kv);
    free(slots);
    return 0;
}
