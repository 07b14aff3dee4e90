/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over folders of inputs, without libFuzzer: the corpus as an ordinary test, in every build.
 *     fuzz_replay TARGET FOLDER...
 * Each input is handed over in a block of exactly its size, so that ASan sees a read beyond its end. FUZZ_TARGETS, from
 * meson.build, is X(name) of each target; the entry point of fuzz_NAME.c is called fuzz_NAME here.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef int target_fn(const uint8_t *data, size_t size);

#define X(name) target_fn fuzz_##name;
FUZZ_TARGETS
#undef X

static const struct {
    const char *name;
    target_fn *run;
} targets[] = {
#define X(name) {#name, fuzz_##name},
    FUZZ_TARGETS
#undef X
};

static target_fn *find_target(const char *name)
{
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        if (!strcmp(targets[i].name, name))
            return targets[i].run;
    return NULL;
}

static void run_one(target_fn *target, const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    target(copy, size);
    free(copy);
}

static uint8_t *read_all(FILE *f, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);

    if (data && fread(data, 1, size, f) != size) {
        free(data);
        data = NULL;
    }
    return data;
}

/* False when the file cannot be read; what is not a regular file is passed over. */
static bool run_file(target_fn *target, const char *path, unsigned *count)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    bool ok = false;

    if (!f || fstat(fileno(f), &st))
        goto out;
    if (!S_ISREG(st.st_mode)) {
        ok = true;
        goto out;
    }
    data = read_all(f, (size_t)st.st_size);
    if (!data)
        goto out;
    run_one(target, data, (size_t)st.st_size);
    ++*count;
    ok = true;
out:
    if (!ok)
        perror(path);
    free(data);
    if (f)
        fclose(f);
    return ok;
}

static bool run_folder(target_fn *target, const char *folder, unsigned *count)
{
    char path[4096];
    DIR *dir = opendir(folder);
    bool ok = true;

    if (!dir) {
        perror(folder);
        return false;
    }
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        ok = snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) < (int)sizeof(path) &&
             run_file(target, path, count);
    }
    closedir(dir);
    return ok;
}

int main(int argc, char **argv)
{
    target_fn *target = argc > 1 ? find_target(argv[1]) : NULL;
    unsigned count = 0;

    if (!target) {
        fprintf(stderr, "usage: fuzz_replay TARGET FOLDER...\n");
        return 2;
    }
    run_one(target, (const uint8_t *)"", 0);
    for (int i = 2; i < argc; i++)
        if (!run_folder(target, argv[i], &count))
            return 1;
    printf("%u inputs\n", count);
    if (!count)
        fprintf(stderr, "a corpus with no input tests nothing\n");
    return count ? 0 : 1;
}
