/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line: one table of flags for parsing and for the help. */
#include "cmdline.h"

#include <getopt.h>

#include "config/config.h"

struct flag {
    const char *name;
    const char *value; /* what the help calls its value; NULL: it takes none */
    size_t offset;     /* of the char * or bool in struct cmdline */
    const char *env;   /* variable that stands for it; NULL: none */
    const char *help;  /* NULL: not shown */
};

#define AT(member) offsetof(struct cmdline, member)
static const struct flag flags[] = {
    {"address", "HOST:PORT", AT(address), "MINIO_ADDRESS",
     "listen here; without HOST on all addresses (:9000)"},
    {"console-address", "HOST:PORT", AT(console_address), "MINIO_CONSOLE_ADDRESS",
     "accepted for existing scripts; there is no web console in this release"},
    {"certs-dir", "DIR", AT(certs_dir), NULL,
     "or -S DIR: TLS with public.crt and private.key in DIR (~/.belfry/certs, else ~/.minio/certs, if "
     "there)"},
    {"json", NULL, AT(json), NULL, "log and start-up text as JSON lines"},
    {"quiet", NULL, AT(quiet), NULL, "no start-up text, only warnings and errors in the log"},
    {"help", NULL, AT(help), NULL, "this text"},
    {"version", NULL, AT(version), NULL, "the version"},
    {"crash-points", NULL, AT(crash_points), NULL, NULL},
    {"salvage", NULL, AT(salvage), NULL, NULL}, /* of check: its own page has them */
    {"dry-run", NULL, AT(dry_run), NULL, NULL},
};
#define FLAGS (sizeof flags / sizeof flags[0])

struct parsed {
    struct cmdline flags;
    char **words; /* what is no flag */
    size_t n;
};

void cmdline_print_flags(FILE *f)
{
    for (size_t i = 0; i < FLAGS; i++) {
        char head[64];
        if (!flags[i].help)
            continue;
        (void)snprintf(head, sizeof head, "--%s%s%s", flags[i].name, flags[i].value ? " " : "",
                       flags[i].value ? flags[i].value : "");
        (void)fprintf(f, "  %-29s%s\n", head, flags[i].help);
    }
}

static bool bad_flag(int c, char **argv, struct err *e)
{
    const char *at = argv[optind - 1] ? argv[optind - 1] : "";
    if (c == ':')
        return err_set(e, "%s needs a value, as in '%s VALUE'; see 'belfry help server'", at, at);
    return err_set(e, "%s is no flag of belfry, or it takes no value; see 'belfry help server'", at);
}

/* argv[0] is skipped. Words that are no flags keep their order. */
static bool parse_flags(struct arena *a, int argc, char **argv, struct parsed *out, struct err *e)
{
    struct option options[FLAGS + 1] = {0};
    for (size_t i = 0; i < FLAGS; i++)
        options[i] = (struct option){flags[i].name, flags[i].value ? required_argument : no_argument, NULL,
                                     (int)(256 + i)};
    optind = 0; /* GNU: forget the last run */
    opterr = 0;
    int c;
    while ((c = getopt_long_only(argc, argv, ":S:hv", options, NULL)) != -1) {
        size_t i = (size_t)c - 256;
        if (c == 'S')
            out->flags.certs_dir = optarg;
        else if (c == 'h')
            out->flags.help = true;
        else if (c == 'v')
            out->flags.version = true;
        else if (c < 256 || i >= FLAGS)
            return bad_flag(c, argv, e);
        else if (flags[i].value)
            *(char **)((char *)&out->flags + flags[i].offset) = optarg;
        else
            *(bool *)((char *)&out->flags + flags[i].offset) = true;
    }
    out->n = (size_t)(argc - optind);
    out->words = ARENA_ARRAY(a, char *, out->n + 1);
    for (size_t i = 0; i < out->n; i++)
        out->words[i] = argv[optind + (int)i];
    return true;
}

struct splitter {
    char *word;
    size_t n;
    bool open;  /* a word has begun */
    char quote; /* ' or " or 0 */
};

static void split_char(struct splitter *s, const char **p)
{
    char c = **p;
    bool escape =
        c == '\\' && s->quote != '\'' && (*p)[1] && (s->quote == 0 || (*p)[1] == '"' || (*p)[1] == '\\');
    if (escape) {
        s->word[s->n++] = *++*p;
        s->open = true;
    } else if (s->quote ? c == s->quote : c == '\'' || c == '"') {
        s->quote = s->quote ? 0 : c;
        s->open = true;
    } else {
        s->word[s->n++] = c;
        s->open = true;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool cmdline_words(struct arena *a, const char *text, char ***words, size_t *n, struct err *e)
{
    size_t len = strlen(text);
    struct splitter s = {.word = arena_alloc(a, len + 1)};
    *words = ARENA_ARRAY(a, char *, len / 2 + 3);
    *n = 0;
    for (const char *p = text;; p++) {
        bool end = *p == 0 || (is_blank(*p) && !s.quote);
        if (end && s.open) {
            (*words)[(*n)++] = arena_strz(a, str_n(s.word, s.n));
            s.open = false;
            s.n = 0;
        }
        if (*p == 0)
            break;
        if (!end)
            split_char(&s, &p);
    }
    return s.quote ? err_set(e, "a %c is not closed", s.quote) : true;
}

bool cmdline_address_ok(const char *address, struct err *e)
{
    struct str s = str_c(address);
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (!colon)
        return err_set(e, "%s names no port: write HOST:PORT or :PORT, for example :%s", address,
                       DEFAULT_PORT);
    struct str host = str_head(s, (size_t)(colon - address));
    if (!str_to_u64(str_c(colon + 1), &port) || port > 65535)
        return err_set(e, "%s: the port must be a number from 0 to 65535, as in :%s", address, DEFAULT_PORT);
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (!bracketed && str_chr(host, ':') >= 0)
        return err_set(e, "%s: write an IPv6 address in brackets, as in [::1]:%s", address, DEFAULT_PORT);
    for (size_t i = 0; i < host.n; i++)
        if (is_blank(host.p[i]) || host.p[i] == '/')
            return err_set(e, "%s: HOST must be a name or an address, without scheme or path", address);
    return true;
}

bool cmdline_is_loopback(const char *address)
{
    const char *colon = strrchr(address, ':');
    struct str host = str_head(str_c(address), colon ? (size_t)(colon - address) : strlen(address));
    return str_ieq(host, STR("localhost")) || str_starts(host, STR("127.")) || str_eq(host, STR("[::1]"));
}

/* One directory of this machine; MinIO's other forms are named for what they are. */
static bool check_dir(const char *dir, struct err *e)
{
    struct str s = str_c(dir);
    if (s.n == 0)
        return err_set(e, "the directory is an empty word: name one, as in 'belfry server /srv/belfry'");
    if (str_find(s, STR("...")) >= 0 && str_chr(s, '{') >= 0)
        return err_set(e,
                       "%s stands for several drives; Belfry keeps everything in one directory: name one, "
                       "as in 'belfry server /srv/belfry'",
                       dir);
    if (str_istarts(s, STR("http://")) || str_istarts(s, STR("https://")))
        return err_set(e,
                       "%s is another server's drive; Belfry is one server with one directory of this "
                       "machine: name one, as in 'belfry server /srv/belfry'",
                       dir);
    return true;
}

static bool one_dir(char *const *words, size_t n, const char *where, char **dir, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!check_dir(words[i], e))
            return false;
    if (n > 1)
        return err_set(e, "%s %zu directories (%s, %s%s); Belfry keeps everything in one: name one of them",
                       where, n, words[0], words[1], n > 2 ? ", ..." : "");
    *dir = n ? words[0] : NULL;
    return true;
}

/* MINIO_OPTS: flags (and possibly the directory) as on the command line, for what is not there. */
static bool merge_opts(struct arena *a, struct cmdline *c, struct err *e)
{
    const char *text = config_env("MINIO_OPTS");
    struct parsed p = {0};
    char **words;
    size_t n;
    struct err why;
    if (!text)
        return true;
    if (!cmdline_words(a, text, &words, &n, &why))
        return err_set(e, "MINIO_OPTS: %s in: %s", why.text, text);
    char **argv = ARENA_ARRAY(a, char *, n + 2);
    argv[0] = "belfry";
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = words[i];
    if (!parse_flags(a, (int)n + 1, argv, &p, &why))
        return err_set(e, "MINIO_OPTS: %s", why.text);
    for (size_t i = 0; i < FLAGS; i++) {
        char *to = (char *)c + flags[i].offset, *from = (char *)&p.flags + flags[i].offset;
        if (!flags[i].value)
            *(bool *)to = *(bool *)to || *(bool *)from;
        else if (!*(char **)to)
            *(char **)to = *(char **)from;
    }
    if (!c->dir && !one_dir(p.words, p.n, "MINIO_OPTS names", &c->dir, e))
        return false;
    return true;
}

bool cmdline_reads(struct str name)
{
    for (size_t i = 0; i < FLAGS; i++)
        if (flags[i].env && str_eq(name, str_from(str_c(flags[i].env), strlen("MINIO_"))))
            return true;
    return str_eq(name, STR("OPTS")) || str_eq(name, STR("VOLUMES"));
}

static bool merge_env(struct arena *a, struct cmdline *c, struct err *e)
{
    char **words;
    size_t n;
    struct err why;
    if (!merge_opts(a, c, e))
        return false;
    for (size_t i = 0; i < FLAGS; i++) {
        char **to = (char **)((char *)c + flags[i].offset);
        const char *v = flags[i].env ? config_env(flags[i].env) : NULL;
        if (v && !*to)
            *to = arena_strz(a, str_c(v));
    }
    const char *volumes = config_env("MINIO_VOLUMES");
    if (c->dir || !volumes)
        return true;
    if (!cmdline_words(a, volumes, &words, &n, &why))
        return err_set(e, "MINIO_VOLUMES: %s in: %s", why.text, volumes);
    return one_dir(words, n, "MINIO_VOLUMES names", &c->dir, e);
}

static bool finish_server(struct arena *a, struct parsed *p, struct cmdline *c, struct err *e)
{
    struct err why;
    c->command = COMMAND_SERVER;
    if (c->salvage || c->dry_run)
        return err_set(e, "--salvage and --dry-run belong to 'belfry check DIR'");
    if (!one_dir(p->words + 1, p->n - 1, "the command line names", &c->dir, e) || !merge_env(a, c, e))
        return false;
    if (!c->dir)
        return err_set(e, "no directory is named: write 'belfry server DIR' (or set MINIO_VOLUMES)");
    if (c->address && !cmdline_address_ok(c->address, &why))
        return err_set(e, "--address %s", why.text);
    if (c->console_address && !cmdline_address_ok(c->console_address, &why))
        return err_set(e, "--console-address %s", why.text);
    return true;
}

bool cmdline_parse(struct arena *a, int argc, char **argv, struct cmdline *out, struct err *e)
{
    struct parsed p = {0};
    if (!parse_flags(a, argc, argv, &p, e))
        return false;
    *out = p.flags;
    const char *word = p.n ? p.words[0] : "";
    bool is_help = strcmp(word, "help") == 0;
    if (out->crash_points || out->version) {
        out->command = out->crash_points ? COMMAND_CRASH_POINTS : COMMAND_VERSION;
    } else if (out->help || is_help) {
        out->command = COMMAND_HELP;
        out->topic = p.n > (is_help ? 1u : 0u) ? p.words[is_help ? 1 : 0] : NULL;
    } else if (strcmp(word, "server") == 0) {
        return finish_server(a, &p, out, e);
    } else if (strcmp(word, "check") == 0) {
        out->command = COMMAND_CHECK;
        if (p.n != 2)
            return err_set(e, "write 'belfry check DIR' with one directory");
        if (out->dry_run && !out->salvage)
            return err_set(e, "--dry-run belongs to --salvage: 'belfry check DIR' alone changes nothing");
        out->dir = p.words[1];
    } else if (*word == 0) {
        return err_set(e, "no command is given: write 'belfry server DIR' to start, 'belfry help' for all");
    } else {
        return err_set(e,
                       "%s is no command: there are server, check, target, dead-letter, backfill, import and "
                       "help; see 'belfry help'",
                       word);
    }
    return true;
}
