/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of a bucket as a document: what a client may send, what is stored, what GET shows. Checks go through the
 * document in its order, so that the first fault is the one that is answered. */
#include <stdlib.h>

#include "base/xml.h"
#include "event/rules_impl.h"

#define DOCUMENT_MAX (1u << 20)
#define NODES_MAX    65536
#define FILTER_MAX   1024

const char rules_bad_event[] = "A specified event is not supported for notifications.";
static const char bad_arn[] = "A specified destination ARN does not exist or is not well-formed. Verify the "
                              "destination ARN.";
static const char bad_region[] =
    "A specified destination is in a different region than the bucket. You must use a "
    "destination that resides in the same region as the bucket.";
static const char duplicate_config[] = "An object key name filtering rule defined with overlapping prefixes, "
                                       "overlapping suffixes, or overlapping "
                                       "combinations of prefixes and suffixes for the same event types.";
static const char duplicate_event[] =
    "Configurations overlap. Configurations on the same bucket cannot share a common event type.";
static const char bad_filter_name[] = "filter rule name must be either prefix or suffix";
const char rules_two_prefixes[] = "Cannot specify more than one prefix rule in a filter.";
const char rules_two_suffixes[] = "Cannot specify more than one suffix rule in a filter.";
const char rules_bad_filter_value[] =
    "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation";
static const char no_topics[] = "MinIO server does not support Topic or Cloud Function based notifications.";
static const char malformed[] =
    "The XML you provided was not well-formed or did not validate against our published schema.";

static enum rules_error fault(enum rules_error code, const char *text, const char **message)
{
    *message = text;
    return code;
}

bool arn_parse(struct str text, struct arn *out)
{
    struct str part[6], rest = text;
    size_t n = 0;
    while (n < 6 && str_cut(&rest, ':', &part[n]))
        n++;
    if (n != 6 || rest.p || !str_eq(part[0], STR("arn")) || !str_eq(part[1], STR("minio")) ||
        !str_eq(part[2], STR("sqs")) || part[4].n == 0 || part[5].n == 0)
        return false;
    *out = (struct arn){part[3], part[4], part[5]};
    return true;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

bool rules_filter_value_ok(struct str v)
{
    struct str rest = v, segment;
    if (v.n > FILTER_MAX || !str_utf8_valid(v) || str_chr(v, '\\') >= 0)
        return false;
    while (str_cut(&rest, '/', &segment))
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return false;
    return true;
}

static enum rules_error read_filter(const struct xml_node *filter, struct rule_config *c,
                                    const char **message)
{
    const struct xml_node *key = xml_child(filter, "S3Key");
    for (const struct xml_node *r = xml_child(key, "FilterRule"); r; r = xml_next(r, "FilterRule")) {
        struct str name = xml_text(r, "Name"), value = xml_text(r, "Value");
        if (!str_eq(name, STR("prefix")) && !str_eq(name, STR("suffix")))
            return fault(RULES_INVALID_ARGUMENT, bad_filter_name, message);
        if (!rules_filter_value_ok(value))
            return fault(RULES_INVALID_ARGUMENT, rules_bad_filter_value, message);
    }
    for (const struct xml_node *r = xml_child(key, "FilterRule"); r; r = xml_next(r, "FilterRule")) {
        bool suffix = str_eq(xml_text(r, "Name"), STR("suffix"));
        for (size_t i = 0; i < c->n_filter; i++)
            if (c->filter[i].suffix == suffix)
                return fault(RULES_INVALID_ARGUMENT, suffix ? rules_two_suffixes : rules_two_prefixes,
                             message);
        c->filter[c->n_filter++] = (struct rule_filter){suffix, xml_text(r, "Value")};
    }
    return RULES_OK;
}

static enum rules_error read_event(struct str text, struct rule_config *c, const char **message)
{
    if (event_mask(text) == 0)
        return fault(RULES_INVALID_ARGUMENT, rules_bad_event, message);
    for (size_t i = 0; i < c->n_events; i++)
        if (str_eq(c->events[i], text))
            return fault(RULES_INVALID_ARGUMENT, duplicate_event, message);
    c->events[c->n_events++] = text;
    return RULES_OK;
}

/* Names of events are few and may not repeat: more elements than that end in a fault before they are stored. */
#define EVENTS_MAX (EVENT_COUNT + 6)

static enum rules_error read_queue(struct arena *a, const struct xml_node *q, struct rule_config *c,
                                   const char **message)
{
    size_t events = 0;
    for (const struct xml_node *n = xml_child(q, "Event"); n; n = xml_next(n, "Event"))
        events++;
    c->events = ARENA_ARRAY(a, struct str, (events < EVENTS_MAX ? events : EVENTS_MAX) + 1);
    bool has_queue = false;
    for (const struct xml_node *n = q->child; n; n = n->next) {
        enum rules_error e = RULES_OK;
        if (str_eq(n->name, STR("Event"))) {
            e = read_event(n->text, c, message);
        } else if (str_eq(n->name, STR("Filter"))) {
            e = read_filter(n, c, message);
        } else if (str_eq(n->name, STR("Id"))) {
            c->id = n->text;
        } else if (str_eq(n->name, STR("Queue"))) {
            has_queue = true;
            if (!arn_parse(n->text, &c->arn))
                e = fault(RULES_INVALID_ARGUMENT, bad_arn, message);
        }
        if (e != RULES_OK)
            return e;
    }
    if (c->n_events == 0)
        return fault(RULES_MALFORMED_XML, malformed, message);
    if (!has_queue)
        return fault(RULES_INVALID_ARGUMENT, bad_arn, message);
    return RULES_OK;
}

enum rules_error rules_read(struct arena *a, struct str xml, struct rule_configs *out, const char **message)
{
    *out = (struct rule_configs){0};
    const struct xml_node *root = xml.n <= DOCUMENT_MAX * 2 ? xml_parse(a, xml, NODES_MAX) : NULL;
    if (!root || !str_eq(root->name, STR("NotificationConfiguration")))
        return fault(RULES_MALFORMED_XML, malformed, message);
    size_t n = 0;
    for (const struct xml_node *q = xml_child(root, "QueueConfiguration"); q;
         q = xml_next(q, "QueueConfiguration"))
        n++;
    out->v = ARENA_ARRAY(a, struct rule_config, n + 1);
    for (const struct xml_node *q = xml_child(root, "QueueConfiguration"); q;
         q = xml_next(q, "QueueConfiguration")) {
        out->v[out->n].order = out->n;
        enum rules_error e = read_queue(a, q, &out->v[out->n], message);
        if (e != RULES_OK)
            return e;
        out->n++;
    }
    if (xml_child(root, "TopicConfiguration") || xml_child(root, "CloudFunctionConfiguration"))
        return fault(RULES_UNSUPPORTED, no_topics, message);
    return RULES_OK;
}

/* --- checking ----------------------------------------------------------------------------------------------------- */

/* Everything but the region and the place in the document. */
static int compare_configs(const struct rule_config *x, const struct rule_config *y)
{
    int c = str_cmp(x->id, y->id);
    if (c == 0)
        c = str_cmp(x->arn.id, y->arn.id);
    if (c == 0)
        c = str_cmp(x->arn.type, y->arn.type);
    if (c == 0)
        c = (x->n_filter > y->n_filter) - (x->n_filter < y->n_filter);
    for (size_t i = 0; c == 0 && i < x->n_filter; i++) {
        c = x->filter[i].suffix - y->filter[i].suffix;
        if (c == 0)
            c = str_cmp(x->filter[i].value, y->filter[i].value);
    }
    if (c == 0)
        c = (x->n_events > y->n_events) - (x->n_events < y->n_events);
    for (size_t i = 0; c == 0 && i < x->n_events; i++)
        c = str_cmp(x->events[i], y->events[i]);
    return c;
}

static int by_content(const void *a, const void *b)
{
    const struct rule_config *x = *(const struct rule_config *const *)a,
                             *y = *(const struct rule_config *const *)b;
    int c = compare_configs(x, y);
    if (c == 0)
        c = str_cmp(x->arn.region, y->arn.region);
    if (c == 0)
        c = (x->order > y->order) - (x->order < y->order);
    return c;
}

/* Two are the same when all is, or when only the later one names a region. */
static bool has_duplicate(struct arena *a, const struct rule_configs *cs)
{
    const struct rule_config **v = arena_alloc(a, (cs->n + 1) * sizeof(*v));
    const struct rule_config *bare = NULL; /* first without a region among those of the same content */
    for (size_t i = 0; i < cs->n; i++)
        v[i] = &cs->v[i];
    qsort(v, cs->n, sizeof(*v), by_content);
    for (size_t i = 0; i < cs->n; i++) {
        bool same = i > 0 && compare_configs(v[i - 1], v[i]) == 0;
        if (!same)
            bare = v[i]->arn.region.n == 0 ? v[i] : NULL;
        else if (str_eq(v[i - 1]->arn.region, v[i]->arn.region) || (bare && bare->order < v[i]->order))
            return true;
    }
    return false;
}

static int by_target(const void *a, const void *b)
{
    const struct arn *x = a, *y = b;
    int c = str_cmp(x->id, y->id);
    return c ? c : str_cmp(x->type, y->type);
}

/* The targets of a stored document, sorted. */
static size_t stored_arns(struct arena *a, struct str stored, struct arn **out)
{
    struct rule_configs cs;
    const char *ignored;
    *out = NULL;
    if (stored.n == 0 || rules_read(a, stored, &cs, &ignored) != RULES_OK)
        return 0;
    *out = ARENA_ARRAY(a, struct arn, cs.n + 1);
    for (size_t i = 0; i < cs.n; i++)
        (*out)[i] = cs.v[i].arn;
    qsort(*out, cs.n, sizeof(**out), by_target);
    return cs.n;
}

static void write_document(struct buf *b, const struct rule_configs *cs, struct str region)
{
    buf_puts(b, "<NotificationConfiguration xmlns=\"" XML_S3_NS "\">");
    for (size_t i = 0; i < cs->n; i++) {
        const struct rule_config *c = &cs->v[i];
        buf_puts(b, "<QueueConfiguration>");
        xml_elem(b, "Id", c->id);
        if (c->n_filter > 0) {
            buf_puts(b, "<Filter><S3Key>");
            for (size_t f = 0; f < c->n_filter; f++) {
                buf_puts(b, "<FilterRule>");
                xml_elem(b, "Name", c->filter[f].suffix ? STR("suffix") : STR("prefix"));
                xml_elem(b, "Value", c->filter[f].value);
                buf_puts(b, "</FilterRule>");
            }
            buf_puts(b, "</S3Key></Filter>");
        }
        for (size_t e = 0; e < c->n_events; e++)
            xml_elem(b, "Event", c->events[e]);
        buf_puts(b, "<Queue>arn:minio:sqs:");
        xml_escape(b, region);
        buf_char(b, ':');
        xml_escape(b, c->arn.id);
        buf_char(b, ':');
        xml_escape(b, c->arn.type);
        buf_puts(b, "</Queue></QueueConfiguration>");
    }
    buf_puts(b, "</NotificationConfiguration>");
}

static enum rules_error check_arns(struct arena *a, const struct rule_configs *cs, struct str region,
                                   struct str stored, bool (*known)(void *ctx, const struct arn *arn),
                                   void *ctx, const char **message)
{
    struct arn *old;
    size_t n_old = stored_arns(a, stored, &old);
    for (size_t i = 0; i < cs->n; i++) {
        const struct arn *arn = &cs->v[i].arn;
        if (arn->region.n > 0 && region.n > 0 && !str_eq(arn->region, region))
            return fault(RULES_INVALID_ARGUMENT, bad_region, message);
        if (!known(ctx, arn) && !(n_old > 0 && bsearch(arn, old, n_old, sizeof(*old), by_target)))
            return fault(RULES_INVALID_ARGUMENT, bad_arn, message);
    }
    return RULES_OK;
}

enum rules_error rules_parse(struct str xml, struct str server_region, struct str stored,
                             bool (*known)(void *ctx, const struct arn *arn), void *ctx,
                             struct buf *canonical, const char **message)
{
    struct arena a;
    struct rule_configs cs;
    arena_init(&a);
    enum rules_error e = xml.n <= DOCUMENT_MAX ? rules_read(&a, xml, &cs, message)
                                               : fault(RULES_MALFORMED_XML, malformed, message);
    if (e == RULES_OK && has_duplicate(&a, &cs))
        e = fault(RULES_INVALID_ARGUMENT, duplicate_config, message);
    if (e == RULES_OK)
        e = check_arns(&a, &cs, server_region, stored, known, ctx, message);
    if (e == RULES_OK && cs.n > 0) {
        write_document(canonical, &cs, server_region);
        if (canonical->failed)
            e = fault(RULES_MALFORMED_XML, malformed, message);
    }
    arena_release(&a);
    return e;
}

void rules_reply(struct str stored, struct str server_region, struct buf *out)
{
    struct arena a;
    struct rule_configs cs = {0};
    const char *ignored;
    arena_init(&a);
    if (stored.n > 0)
        (void)rules_read(&a, stored, &cs, &ignored); /* what cannot be read is not shown */
    write_document(out, &cs, server_region);
    arena_release(&a);
}
