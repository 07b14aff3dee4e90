/* SPDX-License-Identifier: Apache-2.0
 *
 * RocksDB's options. Durability first (what is acknowledged is found again, damage is named), then memory
 * within one budget, then few and small background jobs: the server shares its cores with the I/O threads. */
#include "kv/rocks.h"

#include <stdint.h>
#include <stdlib.h>

#define MIB         ((size_t)1 << 20)
#define QUEUE_BLOCK ((size_t)16 << 10)

const char *const rocks_space_names[KV_SPACES] = {
    [KV_META] = "default", [KV_QUEUE] = "queue", [KV_DATA] = "data"};

enum { LOG_LEVEL_WARN = 2, TIER_FILTER_BITS = 10 };

/* Options that the C API has no function for. */
static bool set_by_name(rocksdb_options_t *o, const char *text, struct err *e)
{
    char *err = NULL;
    rocksdb_get_options_from_string(o, text, o, &err);
    if (!err)
        return true;
    err_set(e, "RocksDB refuses options (%s): %s", text, err);
    rocksdb_free(err);
    return false;
}

static bool set_db(rocksdb_options_t *o, size_t memory, struct err *e)
{
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);

    /* A torn tail of the log is what a crash leaves and is accepted; damage before it refuses the start. The
     * default mode (point in time) opens without a word and drops everything behind the damage. Recycled log
     * files would defeat this: the old content behind the end looks like damage, or worse like rows. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_recycle_log_file_num(o, 0);
    rocksdb_options_set_manual_wal_flush(o, 0);
    rocksdb_options_set_paranoid_checks(o, 1);

    /* A family that is rarely written keeps every log since its last flush; this bounds them, and with them
     * the time to open. */
    rocksdb_options_set_max_total_wal_size(o, memory);
    rocksdb_options_set_db_write_buffer_size(o, memory * 3 / 8);

    /* One flush and one compaction at a time, written out steadily: a large fsync of a flush would hold up
     * the log's. */
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0); /* there is one writer */

    rocksdb_options_set_max_open_files(o, 256);
    rocksdb_options_set_table_cache_numshardbits(o, 2);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_max_manifest_file_size(o, 16 * MIB);
    rocksdb_options_set_info_log_level(o, LOG_LEVEL_WARN);
    rocksdb_options_set_max_log_file_size(o, MIB);
    rocksdb_options_set_keep_log_file_num(o, 3);

    /* Failed is failed, until the server is started again. */
    return set_by_name(o, "max_bgerror_resume_count=0", e);
}

static void set_tables(rocksdb_options_t *o, enum kv_space space, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, cache);
    /* A queue is read from its front, rows of about a KiB, and each block is one read of the file. Not larger: what
     * is damaged is lost by the block. */
    if (space == KV_QUEUE)
        rocksdb_block_based_options_set_block_size(t, QUEUE_BLOCK);
    /* Indexes and filters count against the cache, so that memory does not grow with the store. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(t, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(t, 1);
    rocksdb_block_based_options_set_filter_policy(t,
                                                  rocksdb_filterpolicy_create_bloom_full(TIER_FILTER_BITS));
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

static void set_space(rocksdb_options_t *o, enum kv_space space, size_t memory, rocksdb_cache_t *cache)
{
    set_tables(o, space, cache);
    rocksdb_options_set_write_buffer_size(o, memory / 4);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    /* Blocks of a memtable are taken one by one; small ones keep an idle server small. */
    rocksdb_options_set_arena_block_size(o, 256 << 10);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_target_file_size_base(o, 32 * MIB);
    rocksdb_options_set_max_bytes_for_level_base(o, 128 * MIB);
    rocksdb_options_set_max_compaction_bytes(o,
                                             128 * MIB); /* the old tables stay until the new ones are done */

    /* The youngest levels are rewritten soon; what stays is compressed lightly. */
    static const int levels[] = {rocksdb_no_compression,  rocksdb_no_compression,  rocksdb_lz4_compression,
                                 rocksdb_lz4_compression, rocksdb_lz4_compression, rocksdb_lz4_compression,
                                 rocksdb_lz4_compression};
    rocksdb_options_set_compression_per_level(o, levels, sizeof(levels) / sizeof(levels[0]));

    /* A file with many deletes close together (the front of a queue, a deleted bucket) is compacted at once:
     * otherwise a scan steps over them until it happens to be its turn. */
    rocksdb_options_add_compact_on_deletion_collector_factory(o, 512, 256);

    if (space != KV_DATA)
        return;
    /* Bodies go to blob files: compactions move a reference. Garbage in blob files is collected (off by
     * default: space would never come back). A flush leaves the bodies in the cache: a young object is often
     * read. */
    rocksdb_options_set_enable_blob_files(o, 1);
    rocksdb_options_set_min_blob_size(o, 512);
    rocksdb_options_set_blob_file_size(o, 64 * MIB);
    rocksdb_options_set_blob_compression_type(o, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_gc(o, 1);
    rocksdb_options_set_blob_gc_age_cutoff(o, 0.5);
    rocksdb_options_set_blob_gc_force_threshold(o, 0.5);
    rocksdb_options_set_blob_cache(o, cache);
    rocksdb_options_set_prepopulate_blob_cache(o, rocksdb_prepopulate_blob_flush_only);
}

bool rocks_setup_init(struct rocks_setup *s, size_t memory, struct err *e)
{
    *s = (struct rocks_setup){.db = rocksdb_options_create()};
    if (!set_db(s->db, memory, e))
        return false;
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(memory * 5 / 8);
    for (int i = 0; i < KV_SPACES; i++) {
        s->spaces[i] = rocksdb_options_create();
        set_space(s->spaces[i], (enum kv_space)i, memory, cache);
    }
    rocksdb_cache_destroy(cache); /* the options hold it */
    return true;
}

void rocks_setup_release(struct rocks_setup *s)
{
    for (int i = 0; i < KV_SPACES; i++)
        if (s->spaces[i])
            rocksdb_options_destroy(s->spaces[i]);
    rocksdb_options_destroy(s->db);
}
