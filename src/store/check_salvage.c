/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check --salvage DIR: opens the rows up to their damage, says what is missing, writes what is left anew and puts it in
 * the place of the old rows. Nothing is deleted: the old rows, and files that no row names any more, go to DIR/salvage-TIME.
 * The one step that changes the store exchanges two folders; before it the store is as it was, after it it is whole. What may
 * be left to do then (files to set aside) is found and done by the next run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kv/rescue.h"
#include "store/check.h"

struct salvage {
    struct check c;
    struct folder folder;
    struct kv_rescue rescue;
    char *kv, *blobs, *work; /* paths */
    char *aside;             /* DIR/salvage-TIME */
    struct id_list strays;   /* files that no row names */
};

/* Which file it is goes before what to do about it. */
void store_advise(const char *dir, struct err *e)
{
    struct err why = *e;
    char advice[sizeof why.text];
    bool damage = strstr(why.text, "damaged") || strstr(why.text, "Corruption") ||
                  strstr(why.text, "Input/output error");
    if (!damage || strstr(why.text, "repair.md"))
        return;
    int n =
        snprintf(advice, sizeof advice,
                 ". Nothing was changed. 'belfry check --salvage --dry-run %s' says what can be saved; see "
                 "docs/repair.md",
                 dir);
    if (n < 0 || strlen(why.text) + (size_t)n >= sizeof why.text)
        (void)snprintf(advice, sizeof advice, ": see docs/repair.md");
    err_set(e, "%.*s%s", (int)(sizeof why.text - 30), why.text, advice);
}

/* --- looking --- */

static void tell_rescue(struct salvage *s, const struct err *refused)
{
    const struct kv_rescue *r = &s->rescue;
    if (refused->text[0]) { /* by itself it says nothing of a loss */
        printf("rows: %s\n", refused->text);
        s->c.rows_findings++;
    }
    s->c.findings += r->cut || r->rebuilt || r->unread[0];
    if (r->unread[0]) /* zeros look torn, and that by itself is no damage */
        printf("the disk does not give what is in %s: what stood there is lost\n", r->unread);
    s->c.rows_findings += r->unread[0] != 0;
    if (r->missing)
        puts("a log is missing, which has the newest changes and their events: rows are as of the last time "
             "that they "
             "were written out");
    if (r->mended[0]) { /* in a copy, and a start would take it for torn */
        s->c.rows_findings++;
        printf("one bit was wrong, and its checksum told which, in %s: nothing is lost there\n", r->mended);
    }
    if (r->cut && !r->missing)
        printf("the log is damaged in %s/%s at byte %" PRIu64 ": rows are as of that place\n", s->kv,
               r->at.file, r->at.offset);
    if (r->current)
        puts("CURRENT is damaged: the newest MANIFEST is used");
    if (r->rebuilt)
        puts("the MANIFEST cannot be used: rows are put together from the tables; some that were removed may "
             "be there again");
}

/* The folder of the files cannot be opened without what it needs: then every larger body is missing, and it is said so. */
static bool open_all(struct salvage *s, struct err *e)
{
    struct err refused = {0};
    struct kv *sound = kv_open(s->kv, &(struct kv_options){.read_only = true}, &refused);
    kv_close(sound);
    if (!kv_rescue_open(&s->rescue, s->kv, s->work, e))
        return false;
    s->c.kv = s->rescue.kv;
    s->c.blobs = blobs_open(s->blobs, true, e);
    if (!s->c.blobs)
        return false;
    tell_rescue(s, &refused);
    return true;
}

/* Sequencers are times: none was handed out, as long as the clock was right, after the last write to a log. */
static uint64_t last_write(const char *kv)
{
    uint64_t newest = 0;
    DIR *d = opendir(kv);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        if (!str_ends(str_c(entry->d_name), STR(".log")) || fstatat(dirfd(d), entry->d_name, &st, 0) != 0 ||
            st.st_mtim.tv_sec < 0)
            continue;
        uint64_t at = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
        newest = at > newest ? at : newest;
    }
    if (d)
        closedir(d);
    return newest;
}

static void find_highest(struct salvage *s)
{
    struct check *c = &s->c;
    struct kv_value v;
    uint64_t n;
    struct kv_stats stats;
    kv_get_stats(c->kv, &stats);
    if (stats.last_sequence > c->max_seq)
        c->max_seq = stats.last_sequence;
    uint64_t written = last_write(s->kv);
    if (written > c->max_seq)
        c->max_seq = written;
    if (kv_get(c->kv, KV_META, ROW_KEY_IDS, 0, &v, NULL) == KV_FOUND) {
        struct str at = v.data;
        if (take_be64(&at, &n) && n > c->max_id)
            c->max_id = n;
        kv_value_release(&v);
    }
    for (size_t i = 0; i < c->n_buckets; i++)
        c->max_id = c->buckets[i].id > c->max_id ? c->buckets[i].id : c->max_id;
    const struct id_list *lists[] = {&c->files, &c->bodies, &c->pending, &c->extents_rows, &c->writing};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (size_t k = 0; k < lists[i]->n; k++)
            if (lists[i]->v[k] > c->max_id)
                c->max_id = lists[i]->v[k];
}

/* --- changing --- */

static bool make_aside(struct salvage *s, struct err *e)
{
    char name[64], time[CLOCK_AMZ_LEN];
    if (s->aside)
        return true;
    clock_amz(clock_real_ns(), time);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "salvage-%.*s%s%.0d", CLOCK_AMZ_LEN, time, i ? "-" : "", i);
        char *path = folder_path(s->folder.dir, name);
        if (mkdir(path, 0700) == 0) {
            s->aside = path;
            return true;
        }
        free(path);
        if (errno != EEXIST)
            break;
    }
    return err_errno(e, "cannot create a folder salvage-TIME in %s", s->folder.dir);
}

static bool sync_path(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = (fd >= 0 && fsync(fd) == 0) || err_errno(e, "cannot sync %s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* In one step where the file system can; else there is a moment without rows, in which a start is refused. */
static bool exchange(const char *a, const char *b, const char *spare)
{
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0)
        return true;
    if ((errno != EINVAL && errno != ENOSYS) || rename(a, spare) != 0)
        return false;
    if (rename(b, a) == 0)
        return rename(spare, b) == 0;
    int why = errno;
    (void)rename(spare, a);
    errno = why;
    return false;
}

static bool replace_rows(struct salvage *s, struct err *e)
{
    if (!make_aside(s, e))
        return false;
    char *fresh = folder_path(s->aside, "kv.new"), *old = folder_path(s->aside, "kv");
    bool ok = check_copy(&s->c, &s->rescue, fresh, e) && sync_path(fresh, e) && sync_path(s->aside, e);
    if (!ok) {
        kv_rescue_remove(fresh);
        (void)rmdir(s->aside);
    }
    if (ok && !exchange(s->kv, fresh, old))
        ok = err_errno(e, "cannot put %s in the place of %s", fresh, s->kv);
    ok = ok && sync_path(s->folder.dir, e) && sync_path(s->aside, e);
    if (ok && rename(fresh, old) != 0)
        ok = err_errno(e, "cannot rename %s", fresh);
    ok = ok && sync_path(s->aside, e);
    if (ok)
        printf("written: new rows; the old ones are in %s\n", old);
    free(fresh);
    free(old);
    return ok;
}

static bool see_stray(void *ctx, uint64_t id, uint64_t size)
{
    struct salvage *s = ctx;
    (void)size;
    if (!check_has_id(&s->c.files, id) && !check_has_id(&s->c.pending, id))
        id_list_add(&s->strays, id);
    if (id > s->c.max_id)
        s->c.max_id = id;
    return true;
}

/* BLOBS/ab/ID becomes UNDER/ab/ID. False: errno. */
static bool move_file(const char *blobs, const char *under, uint64_t id)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%02x/%016" PRIx64, (unsigned)(id & 0xff), id);
    char *from = folder_path(blobs, name), *to = folder_path(under, name);
    name[2] = 0;
    char *folder = folder_path(under, name);
    bool ok = (mkdir(under, 0700) == 0 || errno == EEXIST) && (mkdir(folder, 0700) == 0 || errno == EEXIST) &&
              rename(from, to) == 0;
    int why = errno;
    free(from);
    free(to);
    free(folder);
    errno = why;
    return ok;
}

/* blobs/ may be a file system of its own, or a link to one: what is set aside stays on it then. */
static bool set_strays_aside(struct salvage *s, struct err *e)
{
    if (!s->strays.n)
        return true;
    if (!make_aside(s, e))
        return false;
    char *under = folder_path(s->aside, "blobs");
    bool ok = true;
    for (size_t i = 0; ok && i < s->strays.n; i++) {
        ok = move_file(s->blobs, under, s->strays.v[i]);
        if (!ok && errno == EXDEV) {
            free(under);
            under = folder_path(s->blobs, strrchr(s->aside, '/') + 1);
            ok = move_file(s->blobs, under, s->strays.v[i]);
        }
        if (!ok)
            err_errno(e, "cannot move %016" PRIx64 " from %s to %s", s->strays.v[i], s->blobs, under);
    }
    if (ok)
        printf("set aside: %zu files that no row names are in %s\n", s->strays.n, under);
    free(under);
    return ok;
}

static void more_found(void *ctx, const char *text)
{
    check_finding(ctx, "%s", text);
}

static bool salvage(struct salvage *s, bool dry, struct err *e)
{
    struct check *c = &s->c;
    if (!open_all(s, e))
        return false;
    check_all(c);
    c->events->check(c->kv, more_found, c);
    if (s->rescue.cut)
        check_tell_lost(c, s->kv, &s->rescue.at);
    if (!blobs_each(c->blobs, see_stray, s, e))
        return false;
    find_highest(s);
    if (dry || !c->rows_findings) {
        printf("%s\n", c->rows_findings ? "nothing was changed: a salvage would write the rows anew"
                                        : "the rows are sound: there is nothing to salvage");
        return true;
    }
    (void)fflush(stdout); /* what is missing is said before anything is changed */
    return replace_rows(s, e) && set_strays_aside(s, e);
}

bool store_salvage(const char *dir, bool dry, const struct store_events *events, bool *done, struct err *e)
{
    struct salvage s = {.c.events = events};
    *done = false;
    if (!folder_open(&s.folder, dir, false, e))
        return false;
    s.kv = folder_path(dir, "kv");
    s.blobs = folder_path(dir, "blobs");
    s.work = folder_path(dir, "salvage.tmp");
    *done = salvage(&s, dry, e);
    uint64_t findings = s.c.findings;
    if (*done)
        printf("%" PRIu64 " objects, %" PRIu64 " MiB: %" PRIu64 " findings\n", s.c.objects, s.c.bytes >> 20,
               findings);
    (void)fflush(stdout);
    check_release(&s.c);
    kv_rescue_close(&s.rescue);
    free(s.kv);
    free(s.blobs);
    free(s.work);
    free(s.aside);
    free(s.strays.v);
    folder_close(&s.folder);
    return *done && (findings == 0 || err_set(e, "%s: %" PRIu64 " findings", dir, findings));
}
