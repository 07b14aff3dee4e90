/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' login: files of seeds and credentials, read anew for each connection, and the signature of the server's nonce. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "target/nats_impl.h"

#define FILE_MAX (64u << 10)

struct file {
    char bytes[FILE_MAX];
    size_t n;
};

static bool read_file(const char *setting, const char *path, struct file *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno(e, "%s %s cannot be read", setting, path);
    out->n = fread(out->bytes, 1, sizeof(out->bytes), f);
    bool ok = !ferror(f) || err_errno(e, "%s %s cannot be read", setting, path);
    (void)fclose(f);
    return ok;
}

static bool sign(const struct nats *n, const char *setting, struct str text, char sig[NATS_SIG_MAX],
                 struct err *e)
{
    if (!n->info.nonce[0])
        return err_set(e, "the server does not ask for a signature: it knows no NKeys (%s)", setting);
    return nats_sign(text, str_c(n->info.nonce), sig, setting, e);
}

/* By the file of a seed or of credentials, which is `text`. */
static bool add_signature(const struct nats *n, struct str text, struct nats_login *l, char key[NATS_KEY_MAX],
                          char sig[NATS_SIG_MAX], struct err *e)
{
    bool seed = n->conf->nkey_seed[0];
    const char *setting = seed ? "nkey_seed" : "user_credentials";
    l->jwt = seed ? (struct str){0} : nats_find_jwt(text);
    if (!seed && l->jwt.n == 0)
        return err_set(e, "user_credentials names a file without a token (NATS USER JWT)");
    if (seed && !nats_public_key(text, key, setting, e))
        return false;
    l->nkey = seed ? key : NULL;
    l->sig = sig;
    return sign(n, setting, text, sig, e);
}

bool nats_say_connect(struct nats *n, struct err *e)
{
    const struct nats_conf *c = n->conf;
    struct nats_login l = {.user = c->username, .pass = c->password, .token = c->token, .tls = n->stream.ssl};
    char key[NATS_KEY_MAX], sig[NATS_SIG_MAX];
    bool seed = c->nkey_seed[0], signs = seed || c->user_credentials[0], ok = true;
    struct file f = {.n = 0};
    if (signs)
        ok = read_file(seed ? "nkey_seed" : "user_credentials", seed ? c->nkey_seed : c->user_credentials, &f,
                       e) &&
             add_signature(n, str_n(f.bytes, f.n), &l, key, sig, e);
    if (ok)
        nats_put_connect(&n->stream.out, &l);
    OPENSSL_cleanse(&f, sizeof(f));
    return ok;
}
