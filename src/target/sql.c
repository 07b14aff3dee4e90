/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages and certificates of the targets that are databases. */
#include "target/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- messages ----------------------------------------------------------------------------------------------------- */

void sql_shown(struct str text, const char *secret, char *out, size_t n)
{
    struct str hidden = str_c(secret);
    size_t len = 0;
    text = str_trim(text);
    for (size_t i = 0; i < text.n && len + 1 < n;) {
        if (hidden.n > 0 && str_starts(str_from(text, i), hidden)) {
            for (int stars = 0; stars < 3 && len + 1 < n; stars++)
                out[len++] = '*';
            i += hidden.n;
            continue;
        }
        unsigned char c = (unsigned char)text.p[i++];
        if (c < ' ' || c == 0x7f)
            c = ' ';
        if (c != ' ' || len == 0 || out[len - 1] != ' ')
            out[len++] = (char)c;
    }
    out[len] = 0;
}

void sql_variable(const struct sql_names *names, const char *setting, char *out, size_t n)
{
    bool named = strcmp(names->id, "_") != 0;
    (void)snprintf(out, n, "MINIO_NOTIFY_%s_%s%s%s", names->kind, setting, named ? "_" : "",
                   named ? names->id : "");
}

static bool code_fits(const char *of_row, const char *code)
{
    return !of_row || (of_row[0] ? str_starts(str_c(code), str_c(of_row)) : !code[0]);
}

void sql_explain(const struct sql_names *names, const struct sql_advice *rows, const char *code,
                 struct str text, char *why, size_t why_n)
{
    char shown[112], variable[112] = "";
    const struct sql_advice *row = rows;
    while (row->advice &&
           !(code_fits(row->code, code) && (!row->part || str_find(text, str_c(row->part)) >= 0)))
        row++;
    sql_shown(text, names->secret, shown, sizeof(shown));
    if (row->advice && row->variable)
        sql_variable(names, row->variable, variable, sizeof(variable));
    (void)snprintf(why, why_n, "%.60s answered '%s'%s%s%s%s%s%s", names->shown, shown, code[0] ? " " : "",
                   code, row->advice ? ": " : "", row->advice ? row->advice : "", variable[0] ? ": " : "",
                   variable);
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* Where systems keep all of their CAs in one file, the first that can be read. */
static int open_system(void)
{
    const char *named = getenv("SSL_CERT_FILE");
    const char *const paths[] = {named ? named : "", "/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                 X509_get_default_cert_file()};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        int fd = paths[i][0] ? open(paths[i], O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0)
            return fd;
    }
    return -1;
}

static bool copy_system(int to)
{
    char chunk[16384];
    ssize_t n = 0;
    int from = open_system();
    bool ok = true;
    while (from >= 0 && ok && (n = read(from, chunk, sizeof(chunk))) > 0)
        ok = write_all(to, chunk, (size_t)n);
    if (from >= 0)
        (void)close(from);
    return ok && n >= 0;
}

int sql_ca_file(struct str ca_pem, char path[SQL_CA_PATH], struct err *e)
{
    int fd = memfd_create("belfry-ca", MFD_CLOEXEC);
    if (fd < 0 || !copy_system(fd) || !write_all(fd, "\n", 1) || !write_all(fd, ca_pem.p, ca_pem.n)) {
        (void)err_errno(e, "the CA certificates cannot be put together");
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    (void)snprintf(path, SQL_CA_PATH, "/proc/self/fd/%d", fd);
    return fd;
}
