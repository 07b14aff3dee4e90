/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the commands that speak to a server, their help, and what they print. */
#include "client/client.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/client_impl.h"

/* --- the commands ---------------------------------------------------------------------------------------------------- */

static const struct command_row {
    const char *name, *line, *page;
    int (*run)(struct client *c);
} commands[] = {
    {"target", "belfry target VERB ...       status of targets; test, pause and resume one",
     "belfry target status               every target: queue, rate, last error, dead letters\n"
     "belfry target test ID:TYPE         sends one s3:TestEvent past the queue and says what the receiver "
     "answered\n"
     "belfry target pause ID:TYPE        sends nothing more; events are queued\n"
     "belfry target resume ID:TYPE       goes on where it stopped\n\n"
     "ID:TYPE is the end of an ARN, the other way round: primary:webhook for "
     "arn:minio:sqs::primary:webhook.\n"
     "'test' ends with 1 when the receiver did not confirm the event.\n",
     command_target},
    {"dead-letter", "belfry dead-letter VERB ...  events that a receiver refused: list, show, replay, drop",
     "belfry dead-letter list [FILTER]             one line each\n"
     "belfry dead-letter show ID:TYPE NUMBER       one of them with its record\n"
     "belfry dead-letter replay FILTER [--as-is]   queues them again\n"
     "belfry dead-letter drop FILTER               forgets them\n\n"
     "FILTER: --target ID:TYPE, --bucket NAME, --prefix TEXT, --since TIME, --until TIME, --reason TEXT; "
     "for\n"
     "replay and drop at least one of them, or --all. TIME: 2026-02-01T10:20:30Z, or an age such as 15m, 2h, "
     "3d.\n\n"
     "A target that mirrors objects (format=namespace) is told what is true now: the old event where the "
     "object\n"
     "still is what it was then (or gone, accordingly), else one about the object as it is. --as-is sends "
     "the old\n"
     "event whatever happened since.\n",
     command_dead_letter},
    {"backfill", "belfry backfill BUCKET[/PREFIX] ID:TYPE  queues an event for every object that is there",
     "belfry backfill BUCKET[/PREFIX] ID:TYPE [--rate N] [--after KEY]\n\n"
     "Queues an s3:ObjectCreated:Put for every object of the bucket whose key begins with PREFIX, so that a "
     "new\n"
     "index or database can be filled; source.userAgent in the record is 'belfry backfill'. Objects that "
     "change\n"
     "meanwhile are told of as they are, never in the wrong order. --rate: at most N a second. When it is\n"
     "interrupted it says with which --after KEY it goes on.\n",
     command_backfill},
    {"import", "belfry import minio ...      takes settings, pending events and rules over from a MinIO",
     "belfry import minio [--config FILE|-] [--queue-dir DIR] [--notifications DIR]\n\n"
     "--config FILE         what 'mc admin config export' wrote: settings of targets become this server's\n"
     "--queue-dir DIR       a queue_dir with *.event files that MinIO did not deliver: says which targets "
     "have them and\n"
     "                      sets those targets' queue_dir to it, from where the server takes them in\n"
     "--notifications DIR   BUCKET.xml files: each bucket's rules, as GET /BUCKET?notification prints them; "
     "buckets\n"
     "                      that are not there are made\n\n"
     "Says what it did and what it could not; ends with 1 when something could not be taken over.\n",
     command_import},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static const struct command_row *find(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

bool client_knows(const char *word)
{
    return find(word) != NULL;
}

/* --- flags ----------------------------------------------------------------------------------------------------------- */

struct flag {
    const char *name;
    bool value;
    size_t offset;
};
#define AT(member) offsetof(struct client_args, member)
static const struct flag flags[] = {
    {"url", true, AT(url)},
    {"ca", true, AT(ca)},
    {"target", true, AT(target)},
    {"bucket", true, AT(bucket)},
    {"prefix", true, AT(prefix)},
    {"reason", true, AT(reason)},
    {"since", true, AT(since)},
    {"until", true, AT(until)},
    {"after", true, AT(after)},
    {"rate", true, AT(rate)},
    {"limit", true, AT(limit)},
    {"config", true, AT(config)},
    {"queue-dir", true, AT(queue_dir)},
    {"notifications", true, AT(notifications)},
    {"json", false, AT(json)},
    {"as-is", false, AT(as_is)},
    {"all", false, AT(all)},
    {"insecure", false, AT(insecure)},
    {"help", false, AT(help)},
};
#define FLAGS (sizeof flags / sizeof flags[0])

static void print_flags(FILE *f)
{
    (void)fputs("\nFlags of all commands that speak to a server:\n"
                "  --url URL     the server (http://127.0.0.1:" DEFAULT_PORT ")\n"
                "  --ca FILE     certificates to trust beside the system's, PEM\n"
                "  --insecure    trust any certificate\n"
                "  --json        the server's answers as they are, one JSON object a line\n"
                "Credentials are those of MINIO_ROOT_USER and MINIO_ROOT_PASSWORD.\n",
                f);
}

bool client_help(FILE *f, const char *word)
{
    const struct command_row *r = find(word);
    if (!r)
        return false;
    (void)fputs(r->page, f);
    print_flags(f);
    return true;
}

void client_overview(FILE *f)
{
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(f, "  %s\n", commands[i].line);
}

static bool parse(int argc, char **argv, struct client_args *out, const char *command)
{
    struct option options[FLAGS + 1] = {0};
    int c;
    for (size_t i = 0; i < FLAGS; i++)
        options[i] = (struct option){flags[i].name, flags[i].value ? required_argument : no_argument, NULL,
                                     (int)(256 + i)};
    optind = 0;
    opterr = 0;
    while ((c = getopt_long_only(argc, argv, ":h", options, NULL)) != -1) {
        size_t i = (size_t)c - 256;
        if (c == 'h')
            out->help = true;
        else if (c < 256 || i >= FLAGS)
            return client_usage("%s %s; see 'belfry help %s'", argv[optind - 1],
                                c == ':' ? "needs a value" : "is no flag of this command",
                                command) == EXIT_OK;
        else if (flags[i].value)
            *(char **)((char *)out + flags[i].offset) = optarg;
        else
            *(bool *)((char *)out + flags[i].offset) = true;
    }
    out->words = argv + optind;
    out->n = (size_t)(argc - optind);
    return true;
}

int client_main(int argc, char **argv)
{
    const struct command_row *r = find(argv[1]);
    struct client c = {0};
    struct err e;
    if (!parse(argc - 1, argv + 1, &c.args, r->name))
        return EXIT_USAGE;
    if (c.args.help) {
        (void)client_help(stdout, r->name);
        return EXIT_OK;
    }
    arena_init(&c.arena);
    int code = client_open(&c, &e) ? r->run(&c) : client_usage("%s", e.text);
    client_close(&c);
    return code;
}

/* --- saying ---------------------------------------------------------------------------------------------------------- */

int client_fail(const struct err *e)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "belfry: %s\n", e->text);
    return EXIT_FAILED;
}

int client_usage(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fflush(stdout);
    (void)fputs("belfry: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return EXIT_USAGE;
}

#define COLUMNS_MAX 12

void table_row(struct table *t, size_t columns, ...)
{
    va_list args;
    BUG_ON(columns > COLUMNS_MAX);
    char **row = x_calloc(columns, sizeof *row);
    va_start(args, columns);
    for (size_t i = 0; i < columns; i++)
        row[i] = x_strdup(va_arg(args, const char *));
    va_end(args);
    t->columns = columns;
    t->rows = x_realloc(t->rows, (t->n + 1) * sizeof *t->rows);
    t->rows[t->n++] = row;
}

void table_print(struct table *t, FILE *f)
{
    size_t width[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->columns; k++)
            if (strlen(t->rows[i][k]) > width[k])
                width[k] = strlen(t->rows[i][k]);
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < t->columns; k++) {
            bool last = k + 1 == t->columns;
            (void)fprintf(f, "%-*s%s", last ? 0 : (int)width[k], t->rows[i][k], last ? "\n" : "  ");
            free(t->rows[i][k]);
        }
        free(t->rows[i]);
    }
    free(t->rows);
    *t = (struct table){0};
}

const char *age_text(const char *iso, char out[32])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    int64_t ns;
    out[0] = 0;
    if (!iso[0] || !clock_parse_iso(str_c(iso), &ns))
        return out;
    int64_t s = (clock_real_ns() - ns) / 1000000000;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (s >= units[i].seconds || units[i].seconds == 1) {
            (void)snprintf(out, 32, "%lld%c", (long long)((s > 0 ? s : 0) / units[i].seconds),
                           units[i].letter);
            break;
        }
    return out;
}
