/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of this process. */
#include "admin/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/str.h"

static double count_fds(void)
{
    double n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d)
        return 0;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n - 1; /* the folder itself */
}

/* Fields of /proc/self/stat behind the name, which may hold anything: counted from field 3. */
static void read_stat(struct process_info *out)
{
    char text[2048];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        (void)close(fd);
    struct str rest = str_n(text, n > 0 ? (size_t)n : 0), field;
    for (ptrdiff_t at; (at = str_chr(rest, ')')) >= 0;)
        rest = str_from(rest, (size_t)at + 1);
    rest = str_trim(rest);
    for (int i = 3; i <= 24 && str_cut(&rest, ' ', &field); i++) {
        uint64_t v;
        if (!str_to_u64(field, &v))
            continue;
        if (i == 20)
            out->threads = (double)v;
        else if (i == 23)
            out->virtual_bytes = (double)v;
        else if (i == 24)
            out->resident_bytes = (double)v * (double)sysconf(_SC_PAGESIZE);
    }
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

void process_read(struct process_info *out)
{
    struct rusage u;
    struct rlimit l;
    *out = (struct process_info){.open_fds = count_fds()};
    read_stat(out);
    if (getrusage(RUSAGE_SELF, &u) == 0)
        out->cpu_seconds = seconds(u.ru_utime) + seconds(u.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &l) == 0)
        out->max_fds = (double)l.rlim_cur;
}
