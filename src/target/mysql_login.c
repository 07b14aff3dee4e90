/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's login, in a thread: libmariadb looks names up and shakes hands in one blocking call, which has a time limit for
 * each step only. (Its other interface, which does not block, blocks in the look-up; given an address instead of the name
 * it could not verify the certificate.) */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread.h"
#include "target/mysql_impl.h"

#define STEP_S     5           /* connecting, each read, each write */
#define PACKET_MAX (32u << 20) /* more than any statement of ours has */

/* Shared by the target and the thread; the last of the two frees it. */
struct mysql_attempt {
    _Atomic int refs;
    _Atomic bool done;
    int fd; /* an eventfd: becomes readable with the result */
    int ca; /* the file of CAs; -1 */
    char ca_path[SQL_CA_PATH];
    struct mysql_dsn dsn;
    char *cert, *key;
    MYSQL *m; /* the result; NULL */
    unsigned number;
    char text[200];
};

void mysql_hang_up(MYSQL *m)
{
    my_socket fd = m ? mysql_get_socket(m) : -1;
    if (fd >= 0)
        (void)shutdown(fd, SHUT_RDWR); /* else its farewell would wait for the peer */
    if (m)
        mysql_close(m);
}

static void unref(struct mysql_attempt *a)
{
    if (atomic_fetch_sub(&a->refs, 1) > 1)
        return;
    mysql_hang_up(a->m);
    if (a->ca >= 0)
        (void)close(a->ca);
    (void)close(a->fd);
    explicit_bzero(a->dsn.password, sizeof(a->dsn.password));
    free(a->cert);
    free(a->key);
    free(a);
}

void mysql_login_release(struct mysql_target *t)
{
    if (t->attempt)
        unref(t->attempt);
    t->attempt = NULL;
}

/* --- in the thread ------------------------------------------------------------------------------------------------ */

static void set_tls(MYSQL *m, const struct mysql_attempt *a)
{
    const struct mysql_dsn *d = &a->dsn;
    my_bool on = 1, verify = d->tls == MYSQL_TLS_ON;
    if (d->tls == MYSQL_TLS_OFF)
        return;
    (void)mysql_options(m, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
    (void)mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (d->tls != MYSQL_TLS_PREFERRED)
        (void)mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &on);
    else
        (void)mysql_options(m, MYSQL_OPT_SSL_CIPHER, "HIGH:!aNULL"); /* any setting makes it try */
    if (verify)
        (void)mysql_options(m, MYSQL_OPT_SSL_CA, a->ca_path);
    if (a->cert[0]) {
        (void)mysql_options(m, MYSQL_OPT_SSL_CERT, a->cert);
        (void)mysql_options(m, MYSQL_OPT_SSL_KEY, a->key);
    }
}

/* A server may ask the client for files, or for the password as it is: it does not get them. */
static void set_options(MYSQL *m, const struct mysql_attempt *a)
{
    const struct mysql_dsn *d = &a->dsn;
    unsigned step = STEP_S, none = 0;
    unsigned long packet = PACKET_MAX;
    enum mysql_protocol_type protocol = d->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    (void)mysql_options(m, MYSQL_OPT_NONBLOCK, NULL);
    (void)mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &step);
    (void)mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &step);
    (void)mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &step);
    (void)mysql_options(m, MYSQL_OPT_PROTOCOL, &protocol);
    (void)mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &none);
    (void)mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    (void)mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_optionsv(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "Belfry");
    (void)mysql_options(m, MARIADB_OPT_RESTRICTED_AUTH,
                        d->cleartext && d->tls == MYSQL_TLS_ON
                            ? "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,"
                              "mysql_clear_password"
                            : "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
    set_tls(m, a);
}

static void *run(void *arg)
{
    struct mysql_attempt *a = arg;
    const struct mysql_dsn *d = &a->dsn;
    MYSQL *m = mysql_init(NULL);
    BUG_ON(!m); /* only without memory */
    set_options(m, a);
    if (mysql_real_connect(m, d->socket[0] ? NULL : d->host, d->user, d->password, d->database,
                           (unsigned)strtoul(d->port, NULL, 10), d->socket[0] ? d->socket : NULL, 0)) {
        a->m = m;
    } else {
        a->number = mysql_errno(m);
        (void)snprintf(a->text, sizeof(a->text), "%s", mysql_error(m));
        mysql_hang_up(m);
    }
    mysql_thread_end();
    atomic_store(&a->done, true);
    uint64_t one = 1;
    ssize_t n = write(a->fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one));
    unref(a);
    return NULL;
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

static void init_library(void)
{
    BUG_ON(mysql_library_init(0, NULL, NULL) != 0);
}

static struct mysql_attempt *begin(const struct mysql_target *t, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char path[SQL_CA_PATH] = "";
    int ca = -1, fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_once(&once, init_library);
    if (fd < 0) {
        (void)err_errno(e, "no connection can be made");
        return NULL;
    }
    if (t->dsn.tls == MYSQL_TLS_ON && (ca = sql_ca_file(t->conf->common.ca_pem, path, e)) < 0) {
        (void)close(fd);
        return NULL;
    }
    struct mysql_attempt *a = x_calloc(1, sizeof(*a));
    a->fd = fd;
    a->ca = ca;
    memcpy(a->ca_path, path, sizeof(path));
    a->dsn = t->dsn;
    a->cert = x_strdup(t->conf->client_cert);
    a->key = x_strdup(t->conf->client_key);
    atomic_store(&a->refs, 2);
    pthread_t thread = thread_start("mysql-login", run, a);
    (void)pthread_detach(thread);
    return a;
}

MYSQL *mysql_login(struct mysql_target *t, const struct patience *p, struct err *e)
{
    char number[12], why[SEND_WHY];
    if (!t->attempt && !(t->attempt = begin(t, e)))
        return NULL;
    struct mysql_attempt *a = t->attempt;
    if (!patience_poll(p, a->fd, POLLIN)) {
        (void)err_set(e, "%.60s: no connection in time", t->names.shown);
        return NULL;
    }
    BUG_ON(!atomic_load(&a->done));
    MYSQL *m = a->m;
    a->m = NULL;
    if (!m) {
        (void)snprintf(number, sizeof(number), "%u", a->number);
        mysql_explain(&t->names, number, str_c(a->text), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    mysql_login_release(t);
    return m;
}
