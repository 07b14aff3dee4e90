/* SPDX-License-Identifier: Apache-2.0
 *
 * What an Elasticsearch says to a _bulk: nothing is confirmed that does not name the very document, and whatever it says can
 * be shown on one line. And the settings that are looked at byte by byte. */
#include "fuzz.h"

#include "target/elastic.h"

static void one_line(const char *text, size_t n)
{
    size_t len = strnlen(text, n);
    CHECK(len > 0 && len < n);
    for (size_t i = 0; i < len; i++)
        CHECK((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct elastic_names names = {"http://h:9200", "x", "events"};
    struct elastic_sent sent[2] = {{.op = "index", .id = "A"}, {.op = "delete", .id = "B"}};
    struct str in = str_n(data, size);
    char why[SEND_WHY];
    struct err e;
    struct buf b;
    elastic_judge(&names, in, sent, 2);
    for (size_t i = 0; i < 2; i++) {
        if (sent[i].result != SEND_OK)
            one_line(sent[i].why, sizeof(sent[i].why));
        else
            CHECK(str_chr(in, sent[i].id[0]) >= 0 || str_find(in, STR("\\u00")) >= 0);
    }
    for (long status = 200; status < 600; status += 100) {
        elastic_refused(&names, status, in, why, sizeof(why));
        one_line(why, sizeof(why));
    }
    (void)elastic_exists(in);
    buf_init(&b, 3 * size + 100);
    if (elastic_check_index(in, &e))
        elastic_url(&b, STR("http://h/"), in, "/_bulk");
    (void)elastic_check_url(in, &e);
    elastic_api_key(&b, str_head(in, 20));
    CHECK(!b.failed);
    buf_release(&b);
    return 0;
}
