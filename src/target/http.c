/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl as every HTTP target sets it up. */
#include "target/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_curl);
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

/* libcurl takes a blob instead of its file of certificates, but still looks into its folder of them; where it has none, the
 * file becomes part of the blob. */
void http_trust_init(struct http_trust *t, struct str ca_pem)
{
    buf_init(&t->pem, 8u << 20);
    t->path = NULL;
    if (ca_pem.n == 0)
        return;
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    buf_str(&t->pem, ca_pem);
    t->path = v->capath;
    FILE *f = v->capath || !v->cainfo ? NULL : fopen(v->cainfo, "re");
    for (char *p; f && (p = buf_reserve(&t->pem, 65536));) {
        size_t n = fread(p, 1, 65536, f);
        if (n == 0)
            break;
        t->pem.len += n;
    }
    if (f)
        (void)fclose(f);
}

void http_trust_release(struct http_trust *t)
{
    buf_release(&t->pem);
}

static void set_tls(CURL *c, const struct http_trust *t, const char *client_cert, const char *client_key)
{
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* whatever openssl.cnf allows */
    if (client_cert[0]) {
        curl_easy_setopt(c, CURLOPT_SSLCERT, client_cert);
        curl_easy_setopt(c, CURLOPT_SSLKEY, client_key);
    }
    if (t->pem.len > 0) {
        struct curl_blob blob = {t->pem.p, t->pem.len, CURL_BLOB_NOCOPY};
        curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
        if (t->path)
            curl_easy_setopt(c, CURLOPT_CAPATH, t->path);
    }
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

/* The value of the first of two variables that has one; "" for none. */
static const char *variable(const char *first, const char *second)
{
    const char *v = getenv(first);
    v = v && *v ? v : getenv(second);
    return v ? v : "";
}

CURL *http_handle(const struct http_trust *t, const char *client_cert, const char *client_key, char *error)
{
    CURL *c = curl_easy_init();
    if (!c)
        return NULL;
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, variable("NO_PROXY", "no_proxy"));
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    /* A new connection goes to where the name leads by then; receivers that close every one do not flood the resolver. */
    curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* a look-up of a name that hangs is not waited for */
#endif
    set_tls(c, t, client_cert, client_key);
    return c;
}

/* The proxy for a URL, as Go's programs choose it: by the scheme, upper-case names too, never for this machine. "" for
 * none, so that libcurl does not choose by itself. */
static const char *proxy_for(const char *url)
{
    struct str u = str_c(url);
    if (http_is_loopback(u))
        return "";
    return str_istarts(u, STR("https://")) ? variable("HTTPS_PROXY", "https_proxy")
                                           : variable("HTTP_PROXY", "http_proxy");
}

void http_set_url(CURL *c, const char *url)
{
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROXY, proxy_for(url));
}

bool http_proxied(const char *url)
{
    return proxy_for(url)[0] != 0;
}

static const char *hint_of(CURLcode code, const char *text)
{
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return strstr(text, "subject name") ? "its certificate does not name this host"
                                            : "put the certificate of its CA into certs-dir/CAs";
    return code == CURLE_SSL_CERTPROBLEM ? "check client_cert and client_key" : NULL;
}

void http_explain(CURL *c, const struct http_names *names, const char *error, CURLcode code, char *why,
                  size_t why_n)
{
    const char *text = error[0] ? error : curl_easy_strerror(code), *hint = hint_of(code, text);
    bool unnamed = strcmp(names->id, "_") == 0;
    char system[64] = "", place[160] = "";
    long number = 0;
    int n = (int)strlen(text);
    (void)curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &number);
    const char *after = code == CURLE_COULDNT_CONNECT && number ? strstr(text, " after ") : NULL;
    if (after) { /* libcurl names host and port, then how long it took, but not why */
        n = (int)(after - text);
        hint = strerror_r((int)number, system, sizeof(system));
    }
    if (after || !hint) /* as target_name_place says it: the same whether a connect or a send has found it */
        (void)snprintf(place, sizeof(place), " (check that it runs, and MINIO_NOTIFY_%s%s%s)", names->setting,
                       unnamed ? "" : "_", unnamed ? "" : names->id);
    const char *between = !hint ? "" : after ? ": " : "; ";
    (void)snprintf(why, why_n, "%.60s: %.*s%s%s%s", names->shown, n < 90 ? n : 90, text, between,
                   hint ? hint : "", place);
}
