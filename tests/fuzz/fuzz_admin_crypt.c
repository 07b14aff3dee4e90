/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: encrypted bodies of the administration interface. The key is given, as its derivation takes too long to be part of
 * this: what is opened is exactly what sealing makes of it again, and sealing any text can be undone. */
#include "admin/crypt.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[CRYPT_KEY] = {1, 2, 3};
    struct str in = str_n(data, size);
    struct crypt_header h;
    struct buf text, again;
    buf_init(&text, size + 64);
    buf_init(&again, crypt_size(size) + 64);
    if (!crypt_take_header(&in, &h)) {
        static const uint8_t nonce[CRYPT_NONCE];
        h = (struct crypt_header){.nonce = nonce};
    } else if (crypt_open(h.id, key, h.nonce, in, &text)) {
        crypt_seal(h.id, key, h.nonce, buf_view(&text), &again);
        CHECK(str_eq(buf_view(&again), in));
        buf_reset(&again);
    }
    buf_reset(&text);
    crypt_seal(h.id, key, h.nonce, in, &again);
    CHECK(!again.failed && again.len + CRYPT_HEADER == crypt_size(in.n));
    CHECK(crypt_open(h.id, key, h.nonce, buf_view(&again), &text));
    CHECK(str_eq(buf_view(&text), in));
    buf_release(&text);
    buf_release(&again);
    return 0;
}
