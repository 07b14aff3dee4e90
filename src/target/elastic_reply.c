/* SPDX-License-Identifier: Apache-2.0
 *
 * What Elasticsearch answers, item by item, and what that means to the operator. */
#include <jansson.h>
#include <stdio.h>

#include "target/elastic.h"

/* The first row whose type, and part of the reason where there is one, is that of the error says what to do. */
static const struct {
    const char *type, *part;
    enum send_result result;
    const char *advice, *variable;
} errors[] = {
    /* this very record */
    {"mapper_parsing_exception", NULL, SEND_REJECT, "the index's mapping does not take this record", NULL},
    {"document_parsing_exception", NULL, SEND_REJECT, "the index's mapping does not take this record", NULL},
    {"strict_dynamic_mapping_exception", NULL, SEND_REJECT, "the index's mapping does not take this record",
     NULL},
    {"illegal_argument_exception", "cannot be changed from type", SEND_REJECT,
     "the index's mapping does not take this record", NULL},
    {"illegal_argument_exception", "immense term", SEND_REJECT,
     "the index's mapping does not take this record", NULL},
    /* the index */
    {"illegal_argument_exception", "Limit of total fields", SEND_RETRY,
     "raise its index.mapping.total_fields.limit, or map Records.s3.object.userMetadata as not enabled",
     NULL},
    {"illegal_argument_exception", "no write index is defined for alias", SEND_RETRY,
     "give the alias a write index", "INDEX"},
    {"illegal_argument_exception", "data stream", SEND_RETRY,
     "a data stream takes no updates: name an index, or use format=access", "INDEX"},
    {"index_not_found_exception", NULL, SEND_RETRY, "the index is not there: make it, or allow it to be made",
     "INDEX"},
    {"index_closed_exception", NULL, SEND_RETRY, "the index is closed: open it (POST /INDEX/_open)", "INDEX"},
    {"invalid_index_name_exception", NULL, SEND_RETRY, "choose another name for the index", "INDEX"},
    {"cluster_block_exception", "disk usage exceeded", SEND_RETRY,
     "its disk is full: make room; it then takes writes again (before 7.4: unset "
     "index.blocks.read_only_allow_delete)",
     NULL},
    {"cluster_block_exception", "read-only", SEND_RETRY,
     "the index is read-only: unset its index.blocks.read_only or read_only_allow_delete", "INDEX"},
    {"cluster_block_exception", "index write", SEND_RETRY,
     "the index is blocked for writes: unset its index.blocks.write", "INDEX"},
    {"cluster_block_exception", NULL, SEND_RETRY, "a block is set on the index or the cluster: see its log",
     NULL},
    {"validation_exception", "maximum shards open", SEND_RETRY,
     "the cluster has as many shards as it may: remove indices, or raise cluster.max_shards_per_node", NULL},
    /* the server */
    {"es_rejected_execution_exception", NULL, SEND_RETRY, "it is too busy", NULL},
    {"rejected_execution_exception", NULL, SEND_RETRY, "it is too busy", NULL},
    {"circuit_breaking_exception", NULL, SEND_RETRY, "it is short of memory", NULL},
    {"unavailable_shards_exception", NULL, SEND_RETRY, "the index's primary shard is not there: see its log",
     NULL},
    {"master_not_discovered_exception", NULL, SEND_RETRY, "its cluster has no master: see its log", NULL},
    {"process_cluster_event_timeout_exception", NULL, SEND_RETRY, "its cluster is too busy", NULL},
    {"security_exception", "action [", SEND_RETRY, "allow the user 'write' and 'create_index' on this index",
     "USERNAME"},
    {"security_exception", NULL, SEND_RETRY, "user, password or API key is wrong or missing", "USERNAME"},
};

static const struct {
    long status;
    const char *advice, *variable;
} statuses[] = {
    {401, "user, password or API key is wrong or missing", "USERNAME"},
    {403, "the user may not write there", "USERNAME"},
    {404, "check host and path", "URL"},
    {405, "check host and path", "URL"},
    {407, "check user and password of the proxy (HTTP_PROXY)", NULL},
    {413, "it takes only smaller requests: raise http.max_content_length there", NULL},
    {429, "it is too busy", NULL},
    {502, "what stands before it does not reach it", NULL},
    {503, "it is too busy, or just starting", NULL},
    {504, "what stands before it does not reach it", NULL},
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* One line, not too long. */
static void shown_text(const char *text, char *out, size_t n)
{
    size_t i = 0;
    for (; text[i] && i < n - 1; i++)
        out[i] = (char)((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    while (text[i] && i > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) /* not within a character */
        i--;
    out[i] = 0;
}

static void compose(const struct elastic_names *names, long status, const char *said, const char *advice,
                    const char *variable, char *why, size_t why_n)
{
    bool named = strcmp(names->id, "_") != 0;
    char setting[96] = "";
    if (variable)
        (void)snprintf(setting, sizeof(setting), " (MINIO_NOTIFY_ELASTICSEARCH_%s%s%s)", variable,
                       named ? "_" : "", named ? names->id : "");
    (void)snprintf(why, why_n, "%.50s answered %ld%s%s%s: %s%s", names->shown, status, *said ? " '" : "",
                   said, *said ? "'" : "", advice, setting);
}

static enum send_result explain(const struct elastic_names *names, long status, const json_t *error,
                                char *why, size_t why_n)
{
    const char *type = text_of(error, "type"), *reason = text_of(error, "reason");
    const char *advice = "see its log", *variable = NULL;
    enum send_result result = SEND_RETRY;
    bool known = false;
    char said[72];
    if (json_is_string(error)) /* some answer with a mere text */
        reason = json_string_value(error);
    for (size_t i = 0; !known && i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strcmp(type, errors[i].type) != 0 || (errors[i].part && !strstr(reason, errors[i].part)))
            continue;
        known = true;
        result = errors[i].result;
        advice = errors[i].advice;
        variable = errors[i].variable;
    }
    for (size_t i = 0; !known && i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (status != statuses[i].status)
            continue;
        known = true;
        advice = statuses[i].advice;
        variable = statuses[i].variable;
    }
    shown_text(result == SEND_REJECT || !known ? (*reason ? reason : type)
               : *type                         ? type
                                               : reason,
               said, sizeof(said));
    compose(names, status, said, advice, variable, why, why_n);
    return result;
}

/* --- items -------------------------------------------------------------------------------------------------------- */

static void unknown(struct elastic_sent *s, const struct elastic_names *names, const char *what)
{
    s->result = SEND_RETRY;
    (void)snprintf(s->why, sizeof(s->why), "%.60s: %s", names->shown, what);
}

static void judge_item(const struct elastic_names *names, const json_t *item, struct elastic_sent *s)
{
    const json_t *body = json_object_get(item, s->op), *error = json_object_get(body, "error");
    long status = (long)json_integer_value(json_object_get(body, "status"));
    const char *type = text_of(error, "type");
    if (!body || strcmp(text_of(body, "_id"), s->id) != 0 || status == 0) {
        unknown(s, names, "it answers about something else than it was asked");
        return;
    }
    bool gone = status == 404 && !error && strcmp(s->op, "delete") == 0;
    bool there = status == 409 && strcmp(type, "version_conflict_engine_exception") == 0;
    if ((status >= 200 && status <= 299 && !error) || gone || there) {
        s->result = SEND_OK;
        return;
    }
    s->no_index = strcmp(type, "index_not_found_exception") == 0;
    s->result = explain(names, status, error, s->why, sizeof(s->why));
}

void elastic_judge(const struct elastic_names *names, struct str body, struct elastic_sent *sent, size_t n)
{
    json_t *reply = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const json_t *items = json_object_get(reply, "items");
    bool whole = json_is_array(items) && json_array_size(items) == n;
    for (size_t i = 0; i < n; i++) {
        sent[i].result = SEND_RETRY;
        sent[i].why[0] = 0;
        sent[i].no_index = false;
        if (whole)
            judge_item(names, json_array_get(items, i), &sent[i]);
        else
            unknown(&sent[i], names, "it does not answer as Elasticsearch does (check the URL)");
    }
    json_decref(reply);
}

void elastic_refused(const struct elastic_names *names, long status, struct str body, char *why, size_t why_n)
{
    json_t *reply = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    if (status >= 200 && status <= 299)
        compose(names, status, "", "it does not answer as Elasticsearch does", "URL", why, why_n);
    else if (status >= 300 && status <= 399)
        compose(names, status, "", "it moved elsewhere", "URL", why, why_n);
    else
        (void)explain(names, status, json_object_get(reply, "error"), why, why_n);
    json_decref(reply);
}

bool elastic_exists(struct str body)
{
    json_t *reply = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const char *type = text_of(json_object_get(reply, "error"), "type");
    bool exists = strcmp(type, "resource_already_exists_exception") == 0;
    json_decref(reply);
    return exists;
}
