/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches written to RocksDB. Range deletes of few rows become single deletes: in a memtable each range tombstone
 * makes the next scan sort all of them again (measured: 30,000 rows taken off a queue one by one, 1.2 ms a scan and
 * growing, against 2 us). */
#include "kv/rocks.h"

/* Beyond this many rows a range is a range: they are then few in a memtable. */
enum { RANGE_ROWS = 1024 };

static bool in_range(const struct kv_op *range, struct str key)
{
    return str_cmp(range->key, key) <= 0 && str_cmp(key, range->value) < 0;
}

/* Whether an op before ops[i] puts a row into its range: such a row is not seen by a scan. */
static bool hides_put(const struct kv_op *ops, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (ops[k].kind == KV_OP_PUT && ops[k].space == ops[i].space && in_range(&ops[i], ops[k].key))
            return true;
    return false;
}

/* Adds a delete for each row of the range. False, and nothing added, when there are many, when too many deleted rows lie
 * between them, or when they cannot be read. Who removes rows has just read them: they come out of the cache. */
static bool delete_each(struct rocks *r, const struct kv_op *range)
{
    rocksdb_column_family_handle_t *cf = r->spaces[range->space];
    rocksdb_readoptions_set_iterate_upper_bound(r->read_range, range->value.p, range->value.n);
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->read_range, cf);
    rocksdb_writebatch_set_save_point(r->batch);
    unsigned rows = 0;
    rocksdb_iter_seek(it, range->key.p, range->key.n);
    for (; rocksdb_iter_valid(it) && rows <= RANGE_ROWS; rocksdb_iter_next(it), rows++) {
        struct str key;
        key.p = rocksdb_iter_key(it, &key.n);
        rocksdb_writebatch_delete_cf(r->batch, cf, key.p, key.n);
    }
    char *error = NULL;
    rocksdb_iter_get_error(it, &error);
    bool ok = !error && rows <= RANGE_ROWS;
    rocksdb_free(error);
    error = NULL;
    if (ok)
        rocksdb_writebatch_pop_save_point(r->batch, &error);
    else
        rocksdb_writebatch_rollback_to_save_point(r->batch, &error);
    BUG_ON(error);
    rocksdb_iter_destroy(it);
    return ok;
}

static void add_range(struct rocks *r, const struct kv_op *ops, size_t i)
{
    const struct kv_op *op = &ops[i];
    /* A scan of KV_DATA would load the bodies. */
    if (op->space != KV_DATA && !hides_put(ops, i) && delete_each(r, op))
        return;
    rocksdb_writebatch_delete_range_cf(r->batch, r->spaces[op->space], op->key.p, op->key.n, op->value.p,
                                       op->value.n);
}

static void begin_batch(struct rocks *r)
{
    char mark[TAIL_MARK];
    r->mark.oldest_log = 0; /* proves nothing */
    (void)rocksdb_property_int(r->db, "rocksdb.min-log-number-to-keep", &r->mark.oldest_log);
    tail_mark(&r->mark, mark);
    rocksdb_writebatch_clear(r->batch);
    rocksdb_writebatch_put_log_data(r->batch, mark, sizeof mark);
}

bool rocks_write(void *self, const struct kv_op *ops, size_t n, bool sync, struct err *e)
{
    struct rocks *r = self;
    begin_batch(r);
    for (size_t i = 0; i < n; i++) {
        const struct kv_op *op = &ops[i];
        rocksdb_column_family_handle_t *cf = r->spaces[op->space];
        switch (op->kind) {
        case KV_OP_PUT:
            rocksdb_writebatch_put_cf(r->batch, cf, op->key.p, op->key.n, op->value.p, op->value.n);
            break;
        case KV_OP_DEL:
            rocksdb_writebatch_delete_cf(r->batch, cf, op->key.p, op->key.n);
            break;
        case KV_OP_DEL_RANGE:
            add_range(r, ops, i);
            break;
        }
    }
    char *error = NULL;
    rocksdb_write(r->db, sync ? r->write_sync : r->write_nosync, r->batch, &error);
    if (error)
        rocks_error(error, e, "writing rows");
    else if (sync)
        r->mark.synced = rocksdb_get_latest_sequence_number(r->db); /* there is one writer */
    return error == NULL;
}

bool rocks_sync(void *self, struct err *e)
{
    struct rocks *r = self;
    char *error = NULL;
    rocksdb_flush_wal(r->db, 1, &error);
    if (error) {
        rocks_error(error, e, "syncing the log");
        return false;
    }
    /* The last word of the log: all before it is synced. */
    r->mark.synced = rocksdb_get_latest_sequence_number(r->db);
    return rocks_write(r, NULL, 0, false, e);
}

/* Flushes and compactions that failed. */
uint64_t rocks_trouble(void *self)
{
    struct rocks *r = self;
    uint64_t n = 0;
    return rocksdb_property_int(r->db, "rocksdb.background-errors", &n) == 0 ? n : 0;
}

/* Compactions that are only asked for: they are as large as any other, so the reserve is enough for them; one of the whole
 * range would need as much space again. */
bool rocks_reclaim(void *self, struct err *e)
{
    struct rocks *r = self;
    rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
    char *error = NULL;
    rocksdb_flushoptions_set_wait(o, 1);
    for (int i = 0; i < KV_SPACES && !error; i++)
        rocksdb_flush_cf(r->db, o, r->spaces[i], &error);
    for (int i = 0; i < KV_SPACES && !error; i++)
        rocksdb_suggest_compact_range_cf(r->db, r->spaces[i], NULL, 0, NULL, 0, &error);
    rocksdb_flushoptions_destroy(o);
    if (error)
        rocks_error(error, e, "writing rows out");
    return error == NULL;
}

/* Errors of it show as trouble, and with the next write or read: RocksDB keeps them. */
void rocks_compact(void *self, enum kv_space space, struct str first, struct str end)
{
    struct rocks *r = self;
    rocksdb_compact_range_cf(r->db, r->spaces[space], first.p, first.n, end.p, end.n);
}
