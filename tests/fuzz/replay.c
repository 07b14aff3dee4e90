/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over a folder of inputs, without libFuzzer: the corpus as an ordinary test, in every
 * build. Each input is handed over in a block of exactly its size, so that ASan sees a read beyond its end.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
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
static bool run_file(const char *path, unsigned *count)
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
    run_one(data, (size_t)st.st_size);
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

static bool run_folder(const char *folder, unsigned *count)
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
             run_file(path, count);
    }
    closedir(dir);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    run_one((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        if (!run_folder(argv[i], &count))
            return 1;
    printf("%u inputs\n", count);
    if (!count)
        fprintf(stderr, "a corpus with no input tests nothing\n");
    return count ? 0 : 1;
}
