/* SPDX-License-Identifier: Apache-2.0
 *
 * What the client says about its signature: credential, Authorization header, list of signed headers. */
#include "auth/sigv4.h"

#include "base/encode.h"

/* Takes the text after the last slash off the end of *s; false without a slash. */
static bool take_last(struct str *s, struct str *part)
{
    const char *slash = s->n ? memrchr(s->p, '/', s->n) : NULL;
    if (!slash)
        return false;
    size_t at = (size_t)(slash - s->p);
    *part = str_from(*s, at + 1);
    *s = str_head(*s, at);
    return true;
}

bool sigv4_credential(struct str text, struct sigv4_credential *out)
{
    struct str rest = text, terminator;
    uint64_t number;
    if (!take_last(&rest, &terminator) || !take_last(&rest, &out->service) ||
        !take_last(&rest, &out->region) || !take_last(&rest, &out->day))
        return false;
    out->access_key = rest;
    if (rest.n == 0 || out->day.n != SIGV4_DAY_LEN || !str_to_u64(out->day, &number))
        return false;
    out->scope = str_from(text, rest.n + 1);
    return str_eq(terminator, STR("aws4_request"));
}

static bool take_value(struct str part, struct str name, struct str *out)
{
    if (out->p || !str_starts(part, name))
        return false;
    *out = str_from(part, name.n);
    return true;
}

bool sigv4_header(struct str value, struct sigv4_header *out)
{
    struct str rest = str_trim(value), part, credential = {0};
    *out = (struct sigv4_header){0};
    if (!str_starts(rest, SIGV4_ALGORITHM))
        return false;
    rest = str_from(rest, SIGV4_ALGORITHM.n);
    if (rest.n == 0 || (rest.p[0] != ' ' && rest.p[0] != '\t'))
        return false;
    while (str_cut(&rest, ',', &part)) {
        part = str_trim(part);
        if (!take_value(part, STR("Credential="), &credential) &&
            !take_value(part, STR("SignedHeaders="), &out->signed_headers) &&
            !take_value(part, STR("Signature="), &out->signature))
            return false;
    }
    return out->signed_headers.n && out->signature.n && sigv4_credential(credential, &out->credential);
}

static struct str lower(struct str s, struct arena *a)
{
    char *copy = NULL;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 'A' || s.p[i] > 'Z')
            continue;
        if (!copy) {
            copy = arena_strz(a, s);
            s.p = copy;
        }
        copy[i] = (char)(s.p[i] + 32);
    }
    return s;
}

bool sigv4_digest(struct str text, uint8_t out[SHA256_LEN])
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 'A' && text.p[i] <= 'F')
            return false;
    return hex_decode(text, out, SHA256_LEN);
}

bool sigv4_names(struct str list, struct arena *a, struct sigv4_names *out)
{
    struct str rest = list, name;
    out->n = 0;
    while (str_cut(&rest, ';', &name)) {
        if (name.n == 0 || out->n == SIGV4_NAMES_MAX)
            return false;
        name = lower(name, a);
        /* Clients send the list sorted, so this is one comparison per name. */
        size_t at = out->n;
        int order = 1;
        while (at > 0 && (order = str_cmp(name, out->v[at - 1])) < 0)
            at--;
        if (at > 0 && order == 0)
            continue;
        memmove(&out->v[at + 1], &out->v[at], (out->n - at) * sizeof(out->v[0]));
        out->v[at] = name;
        out->n++;
    }
    return true;
}

bool sigv4_names_has(const struct sigv4_names *names, struct str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (str_ieq(names->v[i], name))
            return true;
    return false;
}
