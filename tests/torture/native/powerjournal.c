/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal of a recorded workload, out of its text. */
#include <stdio.h>
#include <stdlib.h>

#include "powercheck.h"

#define WORDS 12

/* Room for one more in an array of n; grows by doubling. */
static void *more(void *v, size_t n, size_t size)
{
    return (n & (n - 1)) == 0 ? x_realloc(v, (n ? 2 * n : 1) * size) : v;
}

static uint64_t number(const char *word)
{
    return strtoull(word, NULL, 10);
}

static char *text(const char *word)
{
    return strcmp(word, "-") == 0 ? NULL : x_strdup(word);
}

static void add_op(struct ops *ops, struct op op)
{
    ops->v = more(ops->v, ops->n, sizeof *ops->v);
    ops->v[ops->n++] = op;
}

static void add_subject(struct subject **v, size_t *n, char **w, size_t words)
{
    *v = more(*v, *n, sizeof **v);
    (*v)[(*n)++] = (struct subject){.bucket = x_strdup(w[1]), .key = words > 2 ? x_strdup(w[2]) : NULL};
}

static void add_upload(struct journal *j, char **w)
{
    j->uploads = more(j->uploads, j->n_uploads, sizeof *j->uploads);
    j->uploads[j->n_uploads++] = (struct upload){.bucket = x_strdup(w[1]),
                                                 .key = x_strdup(w[2]),
                                                 .id = x_strdup(w[3]),
                                                 .sent = number(w[4]),
                                                 .acked = number(w[5]),
                                                 .over_sent = number(w[6]),
                                                 .over_acked = number(w[7])};
}

static void add_delivery(struct journal *j, char **w)
{
    j->deliveries = more(j->deliveries, j->n_deliveries, sizeof *j->deliveries);
    j->deliveries[j->n_deliveries++] = (struct delivery_seen){.arrived = number(w[1]),
                                                              .number = number(w[2]),
                                                              .key = x_strdup(w[3]),
                                                              .seq = strtoull(w[4], NULL, 16)};
}

static bool take_line(struct journal *j, char **w, size_t n, struct ops **current)
{
    struct op op = {.sent = n > 2 ? number(w[1]) : 0, .acked = n > 2 ? number(w[2]) : 0};
    if (w[0][0] == 'k' && n == 3) {
        add_subject(&j->keys, &j->n_keys, w, n);
        *current = &j->keys[j->n_keys - 1].ops;
    } else if (w[0][0] == 'b' && n == 2) {
        add_subject(&j->buckets, &j->n_buckets, w, n);
        *current = &j->buckets[j->n_buckets - 1].ops;
    } else if (w[0][0] == 'u' && n == 8) {
        add_upload(j, w);
        *current = &j->uploads[j->n_uploads - 1].parts;
    } else if (w[0][0] == 'd' && n == 5) {
        add_delivery(j, w);
    } else if (w[0][0] == 'z' && n == 2) {
        add_op(&j->stops, (struct op){.acked = number(w[1])});
    } else if (w[0][0] == 'f' && n == 3) {
        add_op(&j->taken, (struct op){.acked = number(w[1]), .word = text(w[2])});
    } else if (w[0][0] == 'c' && n == 4) {
        op.word = text(w[3]);
        add_op(&j->config, op);
    } else if (w[0][0] == 'o' && n == 5 && *current) {
        op.present = number(w[3]) != 0;
        op.word = text(w[4]);
        add_op(*current, op);
    } else if (w[0][0] == 'p' && n == 5 && *current) {
        op.number = number(w[3]);
        op.size = number(w[4]);
        add_op(*current, op);
    } else if (w[0][0] == 'o' && n == 9 && *current) {
        op.number = number(w[3]);
        op.present = number(w[4]) != 0;
        op.writer = number(w[5]);
        op.content = number(w[6]);
        op.size = number(w[7]);
        op.word = text(w[8]);
        add_op(*current, op);
    } else {
        return false;
    }
    return true;
}

bool journal_read(struct journal *j, const char *path)
{
    FILE *f = fopen(path, "re");
    struct ops *current = NULL;
    char *line = NULL;
    size_t room = 0;
    bool ok = f != NULL;
    while (ok && getline(&line, &room, f) > 0) {
        char *w[WORDS], *rest = line;
        size_t n = 0;
        for (char *word; n < WORDS && (word = strtok_r(rest, " \n", &rest));)
            w[n++] = word;
        ok = n == 0 || take_line(j, w, n, &current);
    }
    free(line);
    if (f)
        (void)fclose(f);
    return ok;
}

int owed_index(const struct state *s, const struct ops *ops, int *most)
{
    int owed = -1;
    *most = -1;
    for (size_t i = 0; i < ops->n; i++) {
        if (ops->v[i].acked <= s->owed)
            owed = (int)i;
        if (ops->v[i].sent <= s->may)
            *most = (int)i;
    }
    if (*most < owed)
        *most = owed;
    return owed;
}
