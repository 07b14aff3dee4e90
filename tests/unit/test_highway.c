/* SPDX-License-Identifier: Apache-2.0
 *
 * HighwayHash-256 against the vectors its authors publish (highwayhash_test.cc): key 00 01 .. 1f, text 00 01 .. n-1. */
#include "unit.h"

#include "target/highway.h"

static const struct {
    unsigned n;
    uint64_t want[4];
} published[] = {
    {0, {0xDD44482AC2C874F5, 0xD946017313C7351F, 0xB3AEBECCB98714FF, 0x41DA233145751DF4}},
    {1, {0xEDB941BCE45F8254, 0xE20D44EF3DCAC60F, 0x72651B9BCB324A47, 0x2073624CB275E484}},
    {2, {0x3FDFF9DF24AFE454, 0x11C4BF1A1B0AE873, 0x115169CC6922597A, 0x1208F6590D33B42C}},
    {3, {0x480AA0D70DD1D95C, 0x89225E7C6911D1D0, 0x8EA8426B8BBB865A, 0xE23DFBC390E1C722}},
    {4, {0xC9CFC497212BE4DC, 0xA85F9DF6AFD2929B, 0x1FDA9F211DF4109E, 0x07E4277A374D4F9B}},
    {7, {0xD666B1A00987AD81, 0xA4F1F838EB8C6D37, 0xE9226E07D463E030, 0x5754D67D062C526C}},
    {15, {0xC11905707842602E, 0x62C3DB018501B146, 0x85F5AD17FA3406C1, 0xC884F87BD4FEC347}},
    {16, {0xF51AD989A1B6CD1F, 0xF7F075D62A627BD9, 0x7E01D5F579F28A06, 0x1AD415C16A174D9F}},
    {17, {0x19F4CFA82CA4068E, 0x3B9D4ABD3A9275B9, 0x8000B0DDE9C010C6, 0x8884D50949215613}},
    {31, {0x6880E276601A644D, 0xB3728B20B10FB7DA, 0xD0BD12060610D16E, 0x8AEF14EF33452EF2}},
    {32, {0xBCE38C9039A1C3FE, 0x42D56326A3C11289, 0xE35595F764FCAEA9, 0xC9B03C6BC9475A99}},
    {33, {0xF60115CBF034A6E5, 0x6C36EA75BFCE46D0, 0x3B17C8D382725990, 0x7EDAA2ED11007A35}},
    {49, {0x2A2BFDAD5F83F197, 0x013D3E6EBEF274CC, 0xE1563C0477726155, 0xF15A8A5DE932037E}},
    {63, {0xF5B1F8266A3AEB67, 0x83B040BE4DEC1ADD, 0x7FE1C8635B26FBAE, 0xF4A3A447DEFED79F}},
};

static void test_published(void **state)
{
    (void)state;
    unsigned char key[HIGHWAY_BYTES], text[64], got[HIGHWAY_BYTES];
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (unsigned char)i;
    memcpy(key, text, sizeof(key));
    for (size_t i = 0; i < COUNT_OF(published); i++) {
        unsigned char want[HIGHWAY_BYTES];
        for (unsigned k = 0; k < sizeof(want); k++)
            want[k] = (unsigned char)(published[i].want[k / 8] >> 8 * (k % 8));
        highway_256(key, str_n(text, published[i].n), got);
        assert_memory_equal(got, want, sizeof(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
