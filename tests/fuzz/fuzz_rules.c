/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's document of rules: what is accepted is stored in a form that reads back as itself, compiles, and matches as its
 * patterns do. The input is the document, a NUL, and a key. */
#include "fuzz.h"

#include "event/rules_impl.h"

static bool known(void *ctx, const struct arn *arn)
{
    (void)ctx;
    return arn->id.n > 0;
}

static void count(void *ctx, size_t slot)
{
    (void)slot;
    ++*(size_t *)ctx;
}

/* Does any rule match the key, by its pattern alone? */
static bool matches(struct str stored, struct str key)
{
    struct arena a;
    struct rule_configs cs;
    const char *message;
    bool any = false;
    arena_init(&a);
    if (rules_read(&a, stored, &cs, &message) != RULES_OK)
        abort();
    for (size_t i = 0; i < cs.n; i++) {
        struct str prefix = {0}, suffix = {0};
        uint64_t mask = 0;
        for (size_t f = 0; f < cs.v[i].n_filter; f++)
            *(cs.v[i].filter[f].suffix ? &suffix : &prefix) = cs.v[i].filter[f].value;
        for (size_t e = 0; e < cs.v[i].n_events; e++)
            mask |= event_mask(cs.v[i].events[e]);
        any |= (mask >> EVENT_CREATED_PUT & 1) && rules_wildcard(rules_pattern(&a, prefix, suffix), key);
    }
    arena_release(&a);
    return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), xml = in, key = STR("");
    ptrdiff_t nul = str_chr(in, 0);
    struct buf first, again;
    const char *message = NULL;
    if (nul >= 0) {
        xml = str_head(in, (size_t)nul);
        key = str_from(in, (size_t)nul + 1);
    }
    buf_init(&first, 4u << 20);
    buf_init(&again, 4u << 20);
    enum rules_error e = rules_parse(xml, STR("eu"), STR(""), known, NULL, &first, &message);
    CHECK((e == RULES_OK) == (message == NULL));
    if (e == RULES_OK && first.len > 0) {
        size_t hits = 0;
        rules_reply(buf_view(&first), STR("eu"), &again);
        CHECK(str_eq(buf_view(&first), buf_view(&again)));
        struct rules *r = rules_compile(buf_view(&first));
        rules_visit(r, EVENT_CREATED_PUT, key, count, &hits);
        CHECK((hits > 0) == matches(buf_view(&first), key));
        rules_free(r);
    }
    buf_release(&first);
    buf_release(&again);
    return 0;
}
