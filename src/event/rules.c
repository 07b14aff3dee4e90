/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled rules. Every distinct pattern is one entry of a hash table under its literal beginning and end; patterns
 * that agree in the lengths of both share a *shape*. A key is hashed once, byte by byte, so that the hash of any
 * beginning and any end of it is at hand: matching is one probe per shape, however many rules there are. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "event/rules_impl.h"

#define HASH_BASE UINT64_C(0x9e3779b97f4a7c15)
#define KEY_MAX   1024 /* longer keys work, with an allocation */
#define NONE      UINT32_MAX

struct rule_pair { /* events of one pattern to one target */
    uint64_t mask;
    uint32_t slot, next;
};
struct rule_entry {
    struct str pattern;
    uint64_t mask; /* of all its pairs */
    uint32_t shape, pairs, next;
    bool plain; /* beginning*end: nothing else to look at */
};
struct rule_shape {
    uint32_t head, tail;  /* lengths of the literal beginning and end */
    uint64_t mask, power; /* HASH_BASE to the power of tail */
};
struct rules {
    struct arena arena;
    struct rule_slot *slots;
    struct rule_pair *pairs;
    struct rule_entry *entries;
    struct rule_shape *shapes;
    uint32_t *table; /* first entry of each hash */
    size_t n_slots, n_pairs, n_entries, n_shapes, table_mask;
};

static uint64_t hash_add_byte(uint64_t h, char c)
{
    return h * HASH_BASE + (unsigned char)c + 1;
}

static uint64_t hash_text(struct str s)
{
    uint64_t h = 0;
    for (size_t i = 0; i < s.n; i++)
        h = hash_add_byte(h, s.p[i]);
    return h;
}

static size_t table_index(const struct rules *r, uint64_t head, uint64_t tail, size_t shape)
{
    uint64_t h = (head ^ (tail >> 29 | tail << 35)) * HASH_BASE + shape;
    return (size_t)((h ^ h >> 32) * HASH_BASE >> 32) & r->table_mask;
}

/* --- compiling ---------------------------------------------------------------------------------------------------- */

static uint32_t slot_of(struct rules *r, const struct arn *arn)
{
    for (size_t i = r->n_slots; i-- > 0;)
        if (str_eq(r->slots[i].arn.id, arn->id) && str_eq(r->slots[i].arn.type, arn->type))
            return (uint32_t)i;
    r->slots[r->n_slots].arn = *arn;
    return (uint32_t)r->n_slots++;
}

static uint32_t shape_of(struct rules *r, size_t head, size_t tail)
{
    for (size_t i = 0; i < r->n_shapes; i++)
        if (r->shapes[i].head == head && r->shapes[i].tail == tail)
            return (uint32_t)i;
    struct rule_shape *s = &r->shapes[r->n_shapes];
    *s = (struct rule_shape){.head = (uint32_t)head, .tail = (uint32_t)tail, .power = 1};
    for (size_t i = 0; i < tail; i++)
        s->power *= HASH_BASE;
    return (uint32_t)r->n_shapes++;
}

/* The entry of a pattern, made when it is new. */
static struct rule_entry *entry_of(struct rules *r, struct str pattern)
{
    size_t head = 0, tail = 0, stars = 0;
    bool question = str_chr(pattern, '?') >= 0;
    while (head < pattern.n && pattern.p[head] != '*' && pattern.p[head] != '?')
        head++;
    /* With a '?' a key may match that ends before the end of the pattern. */
    while (!question && tail < pattern.n - head && pattern.p[pattern.n - 1 - tail] != '*')
        tail++;
    for (size_t i = 0; i < pattern.n; i++)
        stars += pattern.p[i] == '*';
    uint32_t shape = shape_of(r, head, tail);
    size_t at = table_index(r, hash_text(str_head(pattern, head)),
                            hash_text(str_from(pattern, pattern.n - tail)), shape);
    for (uint32_t e = r->table[at]; e != NONE; e = r->entries[e].next)
        if (str_eq(r->entries[e].pattern, pattern))
            return &r->entries[e];
    struct rule_entry *e = &r->entries[r->n_entries];
    *e = (struct rule_entry){.pattern = pattern, .shape = shape, .pairs = NONE, .next = r->table[at]};
    e->plain = stars == 1 && !question;
    r->table[at] = (uint32_t)r->n_entries++;
    return e;
}

static void add_pair(struct rules *r, struct rule_entry *e, uint32_t slot, uint64_t mask)
{
    e->mask |= mask;
    r->shapes[e->shape].mask |= mask;
    for (uint32_t p = e->pairs; p != NONE; p = r->pairs[p].next) {
        if (r->pairs[p].slot == slot) {
            r->pairs[p].mask |= mask;
            return;
        }
    }
    r->pairs[r->n_pairs] = (struct rule_pair){mask, slot, e->pairs};
    e->pairs = (uint32_t)r->n_pairs++;
}

static void add_rule(struct rules *r, const struct rule_config *c)
{
    struct str prefix = {0}, suffix = {0};
    uint64_t mask = 0;
    for (size_t i = 0; i < c->n_filter; i++)
        *(c->filter[i].suffix ? &suffix : &prefix) = c->filter[i].value;
    for (size_t i = 0; i < c->n_events; i++)
        mask |= event_mask(c->events[i]);
    add_pair(r, entry_of(r, rules_pattern(&r->arena, prefix, suffix)), slot_of(r, &c->arn), mask);
}

struct rules *rules_compile(struct str stored)
{
    struct rules *r = x_calloc(1, sizeof(*r));
    struct rule_configs cs = {0};
    const char *message = "";
    arena_init(&r->arena);
    if (stored.n > 0 && rules_read(&r->arena, arena_dup(&r->arena, stored), &cs, &message) != RULES_OK)
        log_error("event", "stored notification rules cannot be read after the first %zu: %s", cs.n, message);
    size_t size = 16;
    while (size < cs.n * 2)
        size *= 2;
    r->table_mask = size - 1;
    r->table = arena_alloc(&r->arena, size * sizeof(*r->table));
    memset(r->table, 0xff, size * sizeof(*r->table));
    r->slots = ARENA_ARRAY(&r->arena, struct rule_slot, cs.n + 1);
    r->pairs = ARENA_ARRAY(&r->arena, struct rule_pair, cs.n + 1);
    r->entries = ARENA_ARRAY(&r->arena, struct rule_entry, cs.n + 1);
    r->shapes = ARENA_ARRAY(&r->arena, struct rule_shape, cs.n + 1);
    for (size_t i = 0; i < cs.n; i++)
        add_rule(r, &cs.v[i]);
    return r;
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    arena_release(&r->arena);
    free(r);
}

size_t rules_arns(const struct rules *r, struct arn *out, size_t max)
{
    for (size_t i = 0; i < r->n_slots && i < max; i++)
        out[i] = r->slots[i].arn;
    return r->n_slots;
}

/* --- matching ----------------------------------------------------------------------------------------------------- */

static bool entry_matches(const struct rule_entry *e, const struct rule_shape *s, struct str key)
{
    if (!e->plain)
        return rules_wildcard(e->pattern, key);
    return memcmp(e->pattern.p, key.p, s->head) == 0 &&
           memcmp(e->pattern.p + e->pattern.n - s->tail, key.p + key.n - s->tail, s->tail) == 0;
}

void rules_visit(const struct rules *r, enum event_name name, struct str key,
                 void (*visit)(void *ctx, size_t slot), void *ctx)
{
    uint64_t few[KEY_MAX + 1], *hash = few, bit = UINT64_C(1) << name;
    if (r->n_shapes == 0)
        return;
    if (key.n > KEY_MAX)
        hash = x_malloc((key.n + 1) * sizeof(*hash));
    hash[0] = 0;
    for (size_t i = 0; i < key.n; i++)
        hash[i + 1] = hash_add_byte(hash[i], key.p[i]);
    for (size_t i = 0; i < r->n_shapes; i++) {
        const struct rule_shape *s = &r->shapes[i];
        if (!(s->mask & bit) || (size_t)s->head + s->tail > key.n)
            continue;
        uint64_t tail = hash[key.n] - hash[key.n - s->tail] * s->power;
        uint32_t at = r->table[table_index(r, hash[s->head], tail, i)];
        for (; at != NONE; at = r->entries[at].next) {
            const struct rule_entry *e = &r->entries[at];
            if (e->shape != i || !(e->mask & bit) || !entry_matches(e, s, key))
                continue;
            for (uint32_t p = e->pairs; p != NONE; p = r->pairs[p].next)
                if (r->pairs[p].mask & bit)
                    visit(ctx, r->pairs[p].slot);
        }
    }
    if (hash != few)
        free(hash);
}

struct rule_slot *rules_slot(const struct rules *r, size_t slot)
{
    return &r->slots[slot];
}
