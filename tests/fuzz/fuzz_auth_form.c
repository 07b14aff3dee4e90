/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the signature of a form. Lines of input: policy, then the fields of version 4, then those of version 2; one that is
 * empty is not there. Nothing is signed with this secret but by chance. */
#include "auth/auth.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n(data, size), line = {0};
    struct auth_form f = {0};
    struct str *const fields[] = {&f.policy, &f.algorithm, &f.credential,    &f.date,
                                  &f.token,  &f.signature, &f.v2_access_key, &f.v2_signature};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && rest.p && str_cut(&rest, '\n', &line); i++)
        if (line.n)
            *fields[i] = line;
    struct auth_config c = {STR("AKIAIOSFODNN7EXAMPLE"), STR("a secret that no input is signed with"),
                            STR("")};
    struct auth *auth = auth_new(&c);
    struct auth_identity id;
    enum auth_result result = auth_verify_form(auth, &f, &id);
    bool asked =
        f.algorithm.p || f.credential.p || f.date.p || f.signature.p || f.v2_access_key.p || f.v2_signature.p;
    CHECK(id.anonymous && (result == AUTH_OK) == !asked);
    auth_free(auth);
    return 0;
}
