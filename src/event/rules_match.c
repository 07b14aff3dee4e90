/* SPDX-License-Identifier: Apache-2.0
 *
 * From matching rules to the numbers of their targets. */
#include "event/delivery.h"
#include "event/rules_impl.h"

struct matching {
    const struct rules *rules;
    struct delivery *delivery;
    uint32_t generation;
    struct target_set *out;
};

/* The number of a target, looked up once per generation of targets. */
static uint32_t slot_number(const struct matching *m, size_t slot)
{
    struct rule_slot *s = rules_slot(m->rules, slot);
    uint64_t known = atomic_load_explicit(&s->number, memory_order_relaxed);
    if (known && known >> 32 == m->generation)
        return (uint32_t)known;
    uint32_t number;
    if (!delivery_resolve(m->delivery, s->arn.id, s->arn.type, &number))
        number = 0;
    atomic_store_explicit(&s->number, (uint64_t)m->generation << 32 | number, memory_order_relaxed);
    return number;
}

static void collect(void *ctx, size_t slot)
{
    struct matching *m = ctx;
    uint32_t number = slot_number(m, slot);
    if (number == 0)
        return;
    for (uint32_t i = 0; i < m->out->n; i++)
        if (m->out->number[i] == number)
            return;
    if (m->out->n < TARGETS_MAX) /* never more are enabled */
        m->out->number[m->out->n++] = number;
}

bool rules_match(const struct rules *r, struct delivery *d, enum event_name name, struct str key,
                 struct target_set *out)
{
    out->n = 0;
    if (!r)
        return false;
    struct matching m = {r, d, (uint32_t)delivery_generation(d), out};
    rules_visit(r, name, key, collect, &m);
    return out->n > 0;
}
