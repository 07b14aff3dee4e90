/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of what is true now. */
#include "admin/truth.h"

#include "base/clock.h"
#include "base/encode.h"

#define RECORD_MAX (256u << 10)

struct outbox_row truth_row(const struct truth_source *src, struct arena *a, struct str bucket,
                            struct str key, const struct object *o, uint64_t sequencer)
{
    const struct s3 *s3 = src->s3;
    enum event_name name = o ? EVENT_CREATED_PUT : EVENT_REMOVED_DELETE;
    char id[16], etag[ETAG_MAX];
    struct buf b;
    size_t at;
    hex_u64((uint64_t)clock_real_ns(), id);
    struct event_source source = {.access_key = src->access_key,
                                  .region = s3->region,
                                  .source_ip = src->ip,
                                  .user_agent = str_c(src->command),
                                  .request_id = str_n(id, sizeof id),
                                  .host_id = str_n(s3->host_id, sizeof s3->host_id),
                                  .deployment_id = s3->deployment_id,
                                  .origin = s3->origin};
    struct event_info info = {.name = name,
                              .bucket = bucket,
                              .key = key,
                              .content_length = -1,
                              .sequencer = sequencer,
                              .time_ns = clock_real_ns()};
    if (o) {
        info.size = o->size;
        info.etag = str_n(etag, object_etag(o, etag));
        info.meta = &o->meta;
    }
    buf_init(&b, RECORD_MAX);
    event_record_write(&b, &source, &info, &at);
    BUG_ON(b.failed); /* what an object's row holds is bounded far below */
    struct outbox_row row = {
        .name = event_name_text(name), .bucket = bucket, .key = key, .record = arena_dup(a, buf_view(&b))};
    buf_release(&b);
    return row;
}

uint64_t truth_sequencer(struct str record)
{
    static const char name[] = "\"sequencer\":\"";
    ptrdiff_t at = str_find(record, STR("\"sequencer\":\""));
    uint8_t bytes[8];
    uint64_t v = 0;
    if (at < 0 || !hex_decode(str_head(str_from(record, (size_t)at + strlen(name)), 16), bytes, sizeof bytes))
        return 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        v = v << 8 | bytes[i];
    return v;
}
