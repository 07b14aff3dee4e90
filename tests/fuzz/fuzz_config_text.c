/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of mc admin config: whatever it is, values are views of it, keys are the sub-system's own, each once a line; and the
 * row of the settings, made of the same bytes. */
#include "config/stored.h"
#include "config/text.h"
#include "fuzz.h"
#include "subsys.h"

static void check(const struct text *t, struct str in)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct text_line *l = &t->lines[i];
        CHECK(!(!l->subsys || !config_id_ok(l->id)));
        for (size_t k = 0; k < l->n; k++) {
            const struct text_pair *p = &l->pairs[k];
            struct arena a;
            struct err e;
            CHECK(!(p->value.n > 0 && (p->value.p < in.p || p->value.p + p->value.n > in.p + in.n)));
            CHECK(!(config_key_find(l->subsys, str_c(p->key->name)) != p->key));
            for (size_t m = 0; m < k; m++)
                CHECK(!(l->pairs[m].key == p->key));
            arena_init(&a);
            (void)config_check_value(p->key, p->value, p->key->name, &e);
            (void)config_shown(p->key, p->value, &a);
            arena_release(&a);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct arena a;
    struct text t;
    struct err e;
    bool missing;
    arena_init(&a);
    if (text_parse(&a, subsys_table(), in, false, &t, &e))
        check(&t, in);
    if (text_parse(&a, subsys_table(), in, true, &t, &e))
        check(&t, in);
    (void)text_parse_reset(&a, subsys_table(), in, &t, &missing, &e);
    arena_release(&a);
    struct config_stored *st = stored_decode(in);
    if (st) {
        struct buf b;
        buf_init(&b, 4u << 20);
        stored_encode(st, &b);
        struct config_stored *again = stored_decode(buf_view(&b));
        CHECK(!(!again || again->n != st->n));
        config_stored_free(again);
        buf_release(&b);
        config_stored_free(st);
    }
    return 0;
}
