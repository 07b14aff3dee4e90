/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of a queue_dir and its files: making it, reading one, what it says. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "event/delivery_impl.h"

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static struct str member_text(struct arena *a, const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_string(v) ? arena_dup(a, str_n(json_string_value(v), json_string_length(v)))
                             : (struct str){NULL, 0};
}

/* Far above what S3 has (1,024 and 63): with a key as long as a file may be, a closure could not replay it. */
#define NAME_MAX_BYTES 4096

bool queue_dir_parse(struct arena *a, struct str text, struct outbox_row *out)
{
    *out = (struct outbox_row){.record = str_trim(text)};
    json_t *root = out->record.n > 0 ? json_loadb(out->record.p, out->record.n, 0, NULL) : NULL;
    const json_t *s3 = json_object_get(root, "s3");
    struct str escaped = member_text(a, json_object_get(s3, "object"), "key");
    out->name = member_text(a, root, "eventName");
    out->bucket = member_text(a, json_object_get(s3, "bucket"), "name");
    bool ok = json_is_object(root) && out->name.n > 0 && out->name.n <= 100 && out->bucket.n > 0 &&
              out->bucket.n <= NAME_MAX_BYTES && escaped.p && pct_decode_arena(a, escaped, true, &out->key) &&
              out->key.n <= NAME_MAX_BYTES && str_chr(out->key, 0) < 0 && str_chr(out->bucket, 0) < 0;
    json_decref(root);
    return ok;
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

bool queue_dir_make(const char *path, struct err *e)
{
    char *p = x_strdup(path);
    bool ok = true;
    for (char *at = p + 1; ok; at++) {
        if (*at && *at != '/')
            continue;
        char end = *at;
        *at = 0;
        ok = mkdir(p, 0770) == 0 || errno == EEXIST || errno == EISDIR ||
             err_errno(e, "queue_dir %s cannot be made", p);
        *at = end;
        if (!end)
            break;
    }
    struct stat st;
    if (ok && (stat(p, &st) != 0 || !S_ISDIR(st.st_mode)))
        ok = err_set(e, "queue_dir %s is no folder", path);
    free(p);
    return ok;
}

bool queue_dir_read(int dir, const char *name, struct buf *out)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= QUEUE_DIR_FILE_MAX;
    while (ok) {
        char *p = buf_reserve(out, 16384);
        ssize_t n = p ? read(fd, p, 16384) : -1;
        if (n <= 0) {
            ok = n == 0;
            break;
        }
        out->len += (size_t)n;
    }
    (void)close(fd);
    return ok;
}
