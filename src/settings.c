/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of the server itself, out of the environment. */
#include "settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "subsys.h"

#define SECRET_FILE_MAX 4096

struct texts {
    char *root_user, *root_password, *region, *server_url, *domain, *cors_origins, *prometheus_auth_type;
};

struct setting {
    const char *name; /* without MINIO_ or BELFRY_ */
    const char *old;  /* older name of the same; NULL: none */
    bool file;        /* NAME_FILE names a file that holds the value */
    size_t offset;    /* of the char * in struct texts */
    /* May put the value into its normal form. NULL: any text. */
    bool (*check)(struct arena *a, char **value, struct err *e);
    const char *help;
};

static bool check_user(struct arena *a, char **v, struct err *e)
{
    (void)a;
    struct str s = str_c(*v);
    if (s.n < 3)
        return err_set(e, "must be at least 3 characters long");
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || strchr("=,", s.p[i]))
            return err_set(e, "must not contain blanks, '=' or ','");
    return true;
}

static bool check_password(struct arena *a, char **v, struct err *e)
{
    (void)a;
    return strlen(*v) >= 8 || err_set(e, "must be at least 8 characters long");
}

static bool check_region(struct arena *a, char **v, struct err *e)
{
    (void)a;
    bool ok = isalpha((unsigned char)**v);
    for (const char *p = *v; *p; p++)
        ok = ok && (isalnum((unsigned char)*p) || *p == '-' || *p == '_');
    return ok || err_set(e, "is '%.60s': a region is letters, digits, '-' and '_', as in us-east-1", *v);
}

static bool check_url(struct arena *a, char **v, struct err *e)
{
    struct str s = str_c(*v);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    struct str host = str_from(s, str_istarts(s, STR("https://")) ? 8 : 7);
    if (!config_is_url(s) || str_chr(host, '/') >= 0 || str_chr(host, '?') >= 0 || str_chr(host, '#') >= 0)
        return err_set(e, "is '%.100s': it must be http://HOST[:PORT] or https://HOST[:PORT] without a path",
                       *v);
    *v = arena_strz(a, s);
    return true;
}

static bool name_ok(struct str name)
{
    bool ok = name.n > 0 && name.n <= 253 && name.p[0] != '.' && name.p[name.n - 1] != '.';
    for (size_t i = 0; i < name.n; i++)
        ok = ok && (isalnum((unsigned char)name.p[i]) || name.p[i] == '-' || name.p[i] == '.');
    return ok;
}

static bool check_domain(struct arena *a, char **v, struct err *e)
{
    struct str rest = str_c(*v), name;
    while (str_cut(&rest, ',', &name))
        if (!name_ok(name))
            return err_set(e, "is '%.100s': it must be DNS names separated by commas, as in s3.example.com",
                           *v);
    *v = arena_strz(a, str_c(*v));
    for (char *p = *v; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}

static bool check_auth_type(struct arena *a, char **v, struct err *e)
{
    (void)a;
    return strcmp(*v, "jwt") == 0 || strcmp(*v, "public") == 0 ||
           err_set(e, "is '%.60s': it must be jwt (metrics need a token) or public (they need none)", *v);
}

#define AT(member) offsetof(struct texts, member)
static const struct setting table[] = {
    {"ROOT_USER", "ACCESS_KEY", true, AT(root_user), check_user,
     "access key of the root user, at least 3 characters (" DEFAULT_CREDENTIAL ")"},
    {"ROOT_PASSWORD", "SECRET_KEY", true, AT(root_password), check_password,
     "its secret key, at least 8 characters (" DEFAULT_CREDENTIAL ")"},
    {"SITE_REGION", "REGION", false, AT(region), check_region,
     "region of this server; without one, clients may name any"},
    {"SERVER_URL", NULL, false, AT(server_url), check_url,
     "how clients outside reach this server, for events: https://s3.example.com"},
    {"DOMAIN", NULL, false, AT(domain), check_domain,
     "domains for bucket.DOMAIN addressing, separated by commas"},
    {"API_CORS_ALLOW_ORIGIN", NULL, false, AT(cors_origins), NULL,
     "web pages that may use this server: origins with '*', separated by commas; default * (all)"},
    {"PROMETHEUS_AUTH_TYPE", NULL, false, AT(prometheus_auth_type), check_auth_type,
     "jwt: metrics need the token of 'mc admin prometheus generate'; public: they need none (jwt)"},
};
#define SETTINGS (sizeof table / sizeof table[0])

/* Text of a file, without the line end that editors leave. */
static bool read_secret(struct arena *a, const char *variable, const char *path, char **out, struct err *e)
{
    char text[SECRET_FILE_MAX + 1], below[300];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && path[0] != '/') { /* where container platforms put secrets */
        (void)snprintf(below, sizeof below, "/run/secrets/%s", path);
        fd = open(below, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return err_errno(e, "%s: the file %s cannot be read; name one that can", variable, path);
    ssize_t n = read(fd, text, sizeof text);
    int error = errno;
    (void)close(fd);
    errno = error;
    if (n < 0)
        return err_errno(e, "%s: the file %s cannot be read", variable, path);
    if (n > SECRET_FILE_MAX)
        return err_set(e, "%s: the file %s holds more than %d bytes; it must hold the value alone", variable,
                       path, SECRET_FILE_MAX);
    *out = arena_strz(a, str_trim(str_n(text, (size_t)n)));
    return true;
}

/* The variable that decides, in `variable`, and its value (NULL: not set). Ours before MinIO's, a file before the text. */
static bool look_up(struct arena *a, const struct setting *s, char variable[64], char **value, struct err *e)
{
    const char *names[] = {s->name, s->old};
    static const char *const prefixes[] = {"BELFRY_", "MINIO_"};
    *value = NULL;
    for (size_t n = 0; n < 2 && names[n]; n++)
        for (size_t p = 0; p < 2; p++) {
            (void)snprintf(variable, 64, "%s%s_FILE", prefixes[p], names[n]);
            const char *v = s->file ? getenv(variable) : NULL;
            if (v && *v)
                return read_secret(a, variable, v, value, e);
            (void)snprintf(variable, 64, "%s%s", prefixes[p], names[n]);
            v = getenv(variable);
            if (v && *v) {
                *value = arena_strz(a, str_c(v));
                return true;
            }
        }
    return true;
}

static bool load_texts(struct arena *a, struct texts *t, struct err *e)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        char variable[64];
        char **value = (char **)((char *)t + table[i].offset);
        struct err why;
        if (!look_up(a, &table[i], variable, value, e))
            return false;
        if (*value && table[i].check && !table[i].check(a, value, &why))
            return err_set(e, "%s %s", variable, why.text);
    }
    return true;
}

bool settings_load(struct arena *a, struct settings *out, struct err *e)
{
    struct texts t = {0};
    if (!load_texts(a, &t, e))
        return false;
    if (!t.root_user != !t.root_password)
        return err_set(
            e, "MINIO_ROOT_USER and MINIO_ROOT_PASSWORD (or BELFRY_...) belong together: %s is not set",
            t.root_user ? "MINIO_ROOT_PASSWORD" : "MINIO_ROOT_USER");
    *out = (struct settings){
        .root_user = t.root_user ? t.root_user : DEFAULT_CREDENTIAL,
        .root_password = t.root_password ? t.root_password : DEFAULT_CREDENTIAL,
        .region = t.region ? t.region : "",
        .server_url = t.server_url ? t.server_url : "",
        .domain = t.domain ? t.domain : "",
        .cors_origins = t.cors_origins ? t.cors_origins : "*",
        .metrics_public = t.prometheus_auth_type && strcmp(t.prometheus_auth_type, "public") == 0,
    };
    out->default_credentials = strcmp(out->root_user, DEFAULT_CREDENTIAL) == 0 &&
                               strcmp(out->root_password, DEFAULT_CREDENTIAL) == 0;
    /* Values that are stored are not known yet; but what the environment says must be right. */
    struct server_conf server;
    bool ok = subsys_server_load(NULL, &server, e);
    out->disk_reserve = server.disk_reserve;
    return ok;
}

bool settings_reads(struct str name)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        struct str base = name;
        if (table[i].file && str_ends(base, STR("_FILE")))
            base = str_head(base, base.n - strlen("_FILE"));
        if (str_eq(base, str_c(table[i].name)) || (table[i].old && str_eq(base, str_c(table[i].old))))
            return true;
    }
    for (const struct config_key *k = subsys_server.keys; k->name; k++)
        if (str_ieq(name, str_c(k->name)))
            return true;
    return false;
}

void settings_print_help(FILE *f)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        (void)fprintf(f, "  MINIO_%s%s%s%s\n      %s\n", table[i].name, table[i].old ? ", MINIO_" : "",
                      table[i].old ? table[i].old : "",
                      table[i].file ? " (or ..._FILE: a file that holds it)" : "", table[i].help);
    }
    struct arena a;
    arena_init(&a);
    for (const struct config_key *k = subsys_server.keys; k->name; k++)
        (void)fprintf(f, "  %s\n      %s%s%s%s\n",
                      config_env_name(&a, subsys_server.name, k, CONFIG_DEFAULT_ID), k->help,
                      k->fallback ? " (" : "", k->fallback ? k->fallback : "", k->fallback ? ")" : "");
    arena_release(&a);
}
