/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled rules. Every distinct pattern is one entry of a hash table under its literal beginning and end; patterns
 * that agree in the lengths of both share a *shape*. A key is hashed once, byte by byte, so that the hash of any
 * beginning and any end of it is at hand: matching is one probe per shape, however many rules there are. */
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "event/rules_impl.h"

#define HASH_BASE     UINT64_C(0x9e3779b97f4a7c15)
#define KEY_MAX       1024 /* longer keys work, with an allocation */
#define NONE          UINT32_MAX
#define PATTERN_EXTRA 3 /* what rules_pattern may add to prefix and suffix */

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
/* One allocation with all that it points to, of the size that the document needs: there is one for each bucket. */
struct rules {
    struct rule_slot *slots;
    struct rule_pair *pairs;
    struct rule_entry *entries;
    struct rule_shape *shapes;
    uint32_t *table; /* first entry of each hash */
    char *text;      /* where the next string goes */
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

static struct str keep(struct rules *r, struct str s)
{
    struct str kept = {r->text, s.n};
    if (s.n)
        memcpy(r->text, s.p, s.n);
    r->text += s.n;
    return kept;
}

static uint32_t slot_of(struct rules *r, const struct arn *arn)
{
    for (size_t i = r->n_slots; i-- > 0;)
        if (str_eq(r->slots[i].arn.id, arn->id) && str_eq(r->slots[i].arn.type, arn->type))
            return (uint32_t)i;
    r->slots[r->n_slots].arn =
        (struct arn){.region = keep(r, arn->region), .id = keep(r, arn->id), .type = keep(r, arn->type)};
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
    *e =
        (struct rule_entry){.pattern = keep(r, pattern), .shape = shape, .pairs = NONE, .next = r->table[at]};
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

static void add_rule(struct rules *r, struct arena *scratch, const struct rule_config *c)
{
    struct str prefix = {0}, suffix = {0};
    uint64_t mask = 0;
    for (size_t i = 0; i < c->n_filter; i++)
        *(c->filter[i].suffix ? &suffix : &prefix) = c->filter[i].value;
    for (size_t i = 0; i < c->n_events; i++)
        mask |= event_mask(c->events[i]);
    add_pair(r, entry_of(r, rules_pattern(scratch, prefix, suffix)), slot_of(r, &c->arn), mask);
}

/* What the strings of all rules take at most. */
static size_t text_size(const struct rule_configs *cs)
{
    size_t n = 0;
    for (size_t i = 0; i < cs->n; i++) {
        const struct rule_config *c = &cs->v[i];
        n += PATTERN_EXTRA + c->arn.region.n + c->arn.id.n + c->arn.type.n;
        for (size_t k = 0; k < c->n_filter; k++)
            n += c->filter[k].value.n;
    }
    return n;
}

static struct rules *rules_new(const struct rule_configs *cs)
{
    size_t table = 16, n = cs->n;
    while (table < n * 2)
        table *= 2;
    struct rules *r = x_calloc(
        1, sizeof(*r) +
               n * (sizeof(*r->slots) + sizeof(*r->pairs) + sizeof(*r->entries) + sizeof(*r->shapes)) +
               table * sizeof(*r->table) + text_size(cs));
    r->slots = (struct rule_slot *)(r + 1);
    r->pairs = (struct rule_pair *)(r->slots + n);
    r->entries = (struct rule_entry *)(r->pairs + n);
    r->shapes = (struct rule_shape *)(r->entries + n);
    r->table = (uint32_t *)(r->shapes + n);
    r->text = (char *)(r->table + table);
    r->table_mask = table - 1;
    memset(r->table, 0xff, table * sizeof(*r->table));
    return r;
}

struct rules *rules_compile(struct str stored)
{
    struct arena scratch;
    struct rule_configs cs = {0};
    const char *message = "";
    arena_init(&scratch);
    if (stored.n > 0 && rules_read(&scratch, stored, &cs, &message) != RULES_OK)
        log_error("event", "stored notification rules cannot be read after the first %zu: %s", cs.n, message);
    struct rules *r = rules_new(&cs);
    for (size_t i = 0; i < cs.n; i++)
        add_rule(r, &scratch, &cs.v[i]);
    arena_release(&scratch);
    return r;
}

void rules_free(struct rules *r)
{
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
