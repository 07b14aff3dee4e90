/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of byte classes. */
#include "http/chars.h"

#define T CH_TOKEN
#define V CH_VALUE
#define R CH_TARGET
#define H CH_HOST

const uint8_t http_char[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | R | H,
    ['"'] = V | R,
    ['#'] = T | V,
    ['$' ... '\''] = T | V | R | H, /* $ % & ' */
    ['(' ... ')'] = V | R | H,
    ['*' ... '+'] = T | V | R | H,
    [','] = V | R | H,
    ['-' ... '.'] = T | V | R | H,
    ['/'] = V | R,
    ['0' ... '9'] = T | V | R | H,
    [':' ... ';'] = V | R | H,
    ['<'] = V | R,
    ['='] = V | R | H,
    ['>' ... '@'] = V | R,
    ['A' ... 'Z'] = T | V | R | H,
    ['['] = V | R | H,
    ['\\'] = V | R,
    [']'] = V | R | H,
    ['^'] = T | V | R,
    ['_'] = T | V | R | H,
    ['`'] = T | V | R,
    ['a' ... 'z'] = T | V | R | H,
    ['{'] = V | R,
    ['|'] = T | V | R,
    ['}'] = V | R,
    ['~'] = T | V | R | H,
    [0x80 ... 0xff] = V,
};
