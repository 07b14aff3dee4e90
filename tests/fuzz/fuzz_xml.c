/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: documents of clients; and what is written of any text must be readable again. */
#include "base/xml.h"
#include "fuzz.h"

static void walk(const struct xml_node *n, unsigned depth, size_t *count)
{
    CHECK(depth < XML_MAX_DEPTH);
    for (; n; n = n->next) {
        ++*count;
        CHECK(str_utf8_valid(n->text) && n->name.n > 0);
        walk(n->child, depth + 1, count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct arena a;
    struct buf b;
    size_t count = 0;
    arena_init(&a);
    walk(xml_parse(&a, in, 1000), 0, &count);
    CHECK(count <= 1000);
    buf_init(&b, 1 << 24);
    xml_elem(&b, "Key", in);
    if (!b.failed) {
        const struct xml_node *n = xml_parse(&a, buf_view(&b), 1);
        CHECK(n && str_eq_c(n->name, "Key"));
        /* What XML cannot carry became U+FFFD, as xml_carries says; all else comes back as it was. */
        CHECK(xml_carries(in) == str_eq(n->text, in));
    }
    buf_release(&b);
    arena_release(&a);
    return 0;
}
