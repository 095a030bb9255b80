/* Servers are known by what they say of themselves; the words below were seen in public. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "upstream/profile.h"

static void servers_are_told_apart(void **state)
{
    static const struct {
        const char *said;
        const char *name;
    } cases[] = {
        {"Dovecot (Debian) ready. IMAP4rev1 QRESYNC", "dovecot"},
        {"IMAP4rev1 (\"name\" \"Dovecot\")", "dovecot"},
        {"mail Cyrus IMAP 3.6.1-Debian-3.6.1-4 server ready", "cyrus"},
        {"Courier-IMAP ready. Copyright 1998-2018", "courier"},
        {"Gimap ready for requests from 192.0.2.1 xx", "gmail"},
        {"IMAP4rev1 UNSELECT X-GM-EXT-1 XYZZY", "gmail"},
        {"The Microsoft Exchange IMAP4 service is ready.", "exchange"},
        {"IMAP4rev1 CLIENTACCESSRULES IDLE", "exchange"},
        {"IMAP4rev1 ID XYMHIGHESTMODSEQ UIDPLUS", "yahoo"},
        {"XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=ATOKEN AUTH=PLAIN", "icloud"},
        {"Coremail System IMap Server Ready(163com[10774b260cc7])", "163"},
        {"IMAP4rev1 ready", "generic"},
        {"", "generic"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(profile_detect(slice_str(cases[i].said))->name, cases[i].name);
    }
}

static void every_row_is_usable(void **state)
{
    static const char *const said[] = {"Dovecot",          "Cyrus",   "Courier-IMAP",
                                       "Gimap ready",      "iSCREAM", "Coremail",
                                       "XYMHIGHESTMODSEQ", "",        "Microsoft Exchange"};
    (void)state;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        const struct profile *profile = profile_detect(slice_str(said[i]));
        assert_in_range(profile->max_connections, 1, 15);
        assert_int_equal(profile->fresh_ms, profile->pushes_flags_in_idle ? 30000 : 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_are_told_apart),
        cmocka_unit_test(every_row_is_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
