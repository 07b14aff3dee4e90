/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' instance: settings into options of the library, connecting, and the look at the peer while there is nothing to
 * send. */
#include "target/nats_impl.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define CLIENT_NAME "Belfry" /* in the server's list of connections */
#define SEED_MAX    (64u << 10)

static bool check_modes(const struct nats_conf *c, struct err *e)
{
    if (c->jetstream && c->streaming)
        return err_set(
            e, "jetstream and streaming (MINIO_NOTIFY_NATS_JETSTREAM and _STREAMING) cannot both be on");
    if (c->streaming && !c->streaming_cluster_id[0])
        return err_set(e, "streaming needs streaming_cluster_id (MINIO_NOTIFY_NATS_STREAMING_CLUSTER_ID): "
                          "empty cluster id");
    if (strlen(c->streaming_cluster_id) > 200)
        return err_set(e, "streaming_cluster_id is longer than 200 bytes");
    return true;
}

bool nats_check(const void *arg, struct err *e)
{
    const struct nats_conf *c = arg;
    struct target_address address;
    if (!nats_parse_address(str_c(c->address), &address, e) || !nats_subject_ok(str_c(c->subject), e))
        return false;
    if (!c->username[0] != !c->password[0])
        return err_set(e, "username and password (MINIO_NOTIFY_NATS_USERNAME and _PASSWORD) must be "
                          "specified as a pair");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e, "client_cert and client_key (MINIO_NOTIFY_NATS_CLIENT_CERT and _KEY) have to be set together");
    if (c->tls_handshake_first)
        return err_set(e, "tls_handshake_first (MINIO_NOTIFY_NATS_TLS_HANDSHAKE_FIRST) cannot be used: the "
                          "NATS library of this system (cnats 3.4) waits for the server's greeting; leave "
                          "handshake_first off there");
    return check_modes(c, e);
}

void *nats_open(const void *conf, const char *id, struct err *e)
{
    const struct nats_conf *c = conf;
    struct nats *n = x_calloc(1, sizeof(*n));
    n->conf = c;
    n->id = x_strdup(id);
    n->mode = c->jetstream ? NATS_JETSTREAM : c->streaming ? NATS_STREAMING : NATS_CORE;
    n->max_out = 1;
    if (c->streaming_async) {
        int64_t most = c->streaming_max_pub_acks_in_flight;
        n->max_out = most > 0 && most < NATS_MAX_BATCH ? (unsigned)most : NATS_MAX_BATCH;
    }
    if (n->mode != NATS_CORE)
        n->gather = n->mode == NATS_STREAMING && n->max_out / 2 < NATS_GATHER ? n->max_out / 2 : NATS_GATHER;
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    buf_init(&n->body, NATS_EVENT_MAX);
    mutex_init(&n->mutex, RANK_TARGET);
    atomic_store(&n->hasten_ms, INT64_MAX);
    if (n->wake_fd < 0)
        (void)err_errno(e, "no eventfd");
    if (n->wake_fd < 0 || !nats_parse_address(str_c(c->address), &n->address, e)) {
        nats_close(n);
        return NULL;
    }
    n->names = (struct nats_names){n->address.shown, n->id, c->subject};
    return n;
}

static void replace_link(struct nats *n, struct nats_link *l)
{
    mutex_lock(&n->mutex);
    struct nats_link *old = n->link;
    n->link = l;
    if (l && atomic_load(&n->hasten_ms) < INT64_MAX)
        relay_limit(l->relay, atomic_load(&n->hasten_ms));
    mutex_unlock(&n->mutex);
    if (old)
        nats_link_abandon(old);
}

void nats_disconnect(void *arg)
{
    replace_link(arg, NULL);
}

void nats_close(void *arg)
{
    struct nats *n = arg;
    nats_disconnect(n);
    dialer_release(&n->dialer);
    if (n->wake_fd >= 0)
        (void)close(n->wake_fd);
    buf_release(&n->body);
    mutex_release(&n->mutex);
    free(n->id);
    free(n);
}

void nats_hasten(void *arg, int64_t deadline_ms)
{
    struct nats *n =
        arg; /* whoever waits looks at it ten times a second; whoever is stuck in the library is cut */
    atomic_store(&n->hasten_ms, deadline_ms);
    mutex_lock(&n->mutex);
    if (n->link)
        relay_limit(n->link->relay, deadline_ms);
    mutex_unlock(&n->mutex);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static bool set_failed(natsStatus s, const char *what, struct err *e)
{
    const char *text = nats_GetLastError(NULL);
    return err_set(e, "%s: %s", what, text && *text ? text : natsStatus_GetText(s));
}

static natsStatus set_plain(const struct nats *n, natsOptions *o, unsigned port)
{
    char url[40];
    (void)snprintf(url, sizeof(url), "nats://127.0.0.1:%u", port);
    natsStatus s = natsOptions_SetURL(o, url);
    if (s == NATS_OK)
        s = natsOptions_SetName(o, CLIENT_NAME);
    if (s == NATS_OK)
        s = natsOptions_SetTimeout(o, NATS_CONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetAllowReconnect(o, false); /* the sender connects anew, and looks the name up */
    if (s == NATS_OK) /* NATS Streaming does not heed that: then not before the link is ended */
        s = natsOptions_SetReconnectWait(o, NATS_NEVER_MS);
    if (s == NATS_OK)
        s = natsOptions_SetIgnoreDiscoveredServers(o, true);
    if (s == NATS_OK && n->conf->ping_interval > 0)
        s = natsOptions_SetPingInterval(o, n->conf->ping_interval);
    return s;
}

static bool set_tls(const struct nats *n, natsOptions *o, struct err *e)
{
    const struct nats_conf *c = n->conf;
    natsStatus s = NATS_OK;
    if (c->tls)
        s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK && c->tls_skip_verify)
        s = natsOptions_SkipServerVerification(o, true);
    else if (s == NATS_OK)
        s = natsOptions_SetExpectedHostname(o, n->address.host);
    if (s != NATS_OK)
        return set_failed(s, "TLS cannot be set up", e);
    if (c->common.ca_pem.n > 0) {
        char *pem = str_dupz(c->common.ca_pem);
        s = natsOptions_SetCATrustedCertificates(o, pem);
        free(pem);
        if (s != NATS_OK)
            return set_failed(s, "certs-dir/CAs cannot be used", e);
    }
    if (c->cert_authority[0] && (s = natsOptions_LoadCATrustedCertificates(o, c->cert_authority)) != NATS_OK)
        return set_failed(s, "cert_authority cannot be used", e);
    if (c->client_cert[0] &&
        (s = natsOptions_LoadCertificatesChain(o, c->client_cert, c->client_key)) != NATS_OK)
        return set_failed(s, "client_cert or client_key cannot be used", e);
    return true;
}

/* The library reads the seed itself, but wants to be told the public key of it. */
static bool set_nkey(const char *path, natsOptions *o, struct err *e)
{
    char text[SEED_MAX], key[NATS_KEY_MAX];
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(e, "nkey_seed %s cannot be read", path);
    size_t got = fread(text, 1, sizeof(text), f);
    (void)fclose(f);
    bool ok = nats_public_key(str_n(text, got), key, e);
    OPENSSL_cleanse(text, sizeof(text));
    natsStatus s = ok ? natsOptions_SetNKeyFromSeed(o, key, path) : NATS_OK;
    return ok && (s == NATS_OK || set_failed(s, "nkey_seed cannot be used", e));
}

static bool set_login(const struct nats *n, natsOptions *o, struct err *e)
{
    const struct nats_conf *c = n->conf;
    natsStatus s = NATS_OK;
    if (c->username[0])
        s = natsOptions_SetUserInfo(o, c->username, c->password);
    if (s == NATS_OK && c->token[0])
        s = natsOptions_SetToken(o, c->token);
    if (s == NATS_OK && c->user_credentials[0])
        s = natsOptions_SetUserCredentialsFromFiles(o, c->user_credentials, NULL);
    if (s != NATS_OK)
        return set_failed(s, "the login cannot be used", e);
    return !c->nkey_seed[0] || set_nkey(c->nkey_seed, o, e);
}

static natsOptions *make_options(const struct nats *n, unsigned port, struct err *e)
{
    natsOptions *o = NULL;
    natsStatus s = natsOptions_Create(&o);
    if (s == NATS_OK)
        s = set_plain(n, o, port);
    bool ok = s == NATS_OK || set_failed(s, "the library cannot be set up", e);
    if (ok && set_tls(n, o, e) && set_login(n, o, e))
        return o;
    natsOptions_Destroy(o);
    return NULL;
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

static struct patience patience_of(struct nats *n, int64_t deadline_ms)
{
    int64_t until = clock_mono_ms() + NATS_CONNECT_MS;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &n->hasten_ms};
}

/* Waits until something was handed over. */
static bool wait_more(struct nats *n, struct nats_link *l, const struct patience *p)
{
    uint64_t count;
    l->waiting = true;
    mutex_unlock(&l->mutex);
    bool came = patience_poll(p, n->wake_fd, POLLIN);
    if (came && read(n->wake_fd, &count, sizeof(count)) < 0)
        came = false;
    mutex_lock(&l->mutex);
    return came;
}

static struct nats_link *begin_link(struct nats *n, const struct patience *p, struct err *e)
{
    struct err why = {0};
    unsigned port = 0;
    int fd = dial(&n->dialer, n->address.host, n->address.port, p, &why);
    if (fd < 0) {
        (void)err_set(e, "%s: %s", n->address.shown, why.text);
        return NULL;
    }
    struct relay *relay = relay_open(fd, &port, &why);
    natsOptions *o = relay ? make_options(n, port, &why) : NULL;
    if (!o) {
        if (relay)
            relay_close(relay);
        (void)err_set(e, "%s: %s", n->address.shown, why.text);
        return NULL;
    }
    struct nats_link *l = nats_link_new(o);
    nats_link_start(l, n->mode, n->conf->streaming_cluster_id, &n->names, relay, o, n->wake_fd);
    return l;
}

bool nats_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nats *n = arg;
    struct patience p = patience_of(n, deadline_ms);
    bool more = true;
    nats_disconnect(n);
    struct nats_link *l = begin_link(n, &p, e);
    if (!l)
        return false;
    mutex_lock(&l->mutex);
    while (l->state == LINK_CONNECTING && (more || patience_left(&p) > 0))
        more = wait_more(n, l, &p);
    enum nats_link_state state = l->state;
    if (state == LINK_DOWN)
        nats_explain(&n->names, l->why, e->text, sizeof(e->text));
    else if (state == LINK_CONNECTING)
        (void)err_set(e, "%s: no answer in time to the connection", n->address.shown);
    mutex_unlock(&l->mutex);
    if (state == LINK_UP)
        replace_link(n, l);
    else
        nats_link_abandon(l);
    return state == LINK_UP;
}

bool nats_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nats *n = arg;
    struct nats_link *l = n->link;
    struct patience p = patience_of(n, deadline_ms);
    bool more = true;
    if (!l)
        return nats_connect(n, deadline_ms, e);
    mutex_lock(&l->mutex);
    l->idling = true;
    nats_link_ask(l);
    uint64_t round = l->asked;
    while (l->state == LINK_UP && l->answered < round && (more || patience_left(&p) > 0))
        more = wait_more(n, l, &p);
    bool ok = l->state == LINK_UP && l->answered >= round;
    l->idling = false;
    if (l->state != LINK_UP)
        nats_explain(&n->names, l->why, e->text, sizeof(e->text));
    else if (!ok)
        (void)err_set(e, "%s: no answer in time to PING", n->address.shown);
    mutex_unlock(&l->mutex);
    nats_wake(n); /* whoever wanted to wake a poll meanwhile */
    return ok;
}
