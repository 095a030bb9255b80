/* Failure buckets and remembered refusals, on a clock of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../../proxy/account/guard_p.h"

static const struct guard_limits limits = {.per_login = 2, .per_address = 4, .refusal_ms = 60000};

static struct guard *make(void)
{
    struct guard *guard = guard_create();
    guard_set_limits(guard, &limits);
    return guard;
}

/* A login that fails; the wait when it may not be looked at. */
static uint64_t fails(struct guard *guard, const char *login, const char *host, uint64_t now)
{
    struct guard_ticket ticket = {0};
    return guard_take(guard, slice_str(login), host, now, &ticket);
}

static uint64_t comes_in(struct guard *guard, const char *login, const char *host, uint64_t now)
{
    struct guard_ticket ticket = {0};
    uint64_t wait = guard_take(guard, slice_str(login), host, now, &ticket);
    if (wait == 0) {
        guard_note_success(guard, slice_str(login), host, now);
        guard_give_back(guard, slice_str(login), &ticket, now);
    }
    return wait;
}

static void a_login_fails_so_often_a_minute(void **state)
{
    (void)state;
    struct guard *guard = make();
    assert_int_equal(fails(guard, "anna", "10.0.0.1", 1000), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.2", 1000), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 1000), 30000);
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 11000), 20000);
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 30999), 1);
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 31000), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 31000), 30000);
    /* asked very often, it fills all the same */
    for (uint64_t now = 31000; now < 61000; now++) {
        assert_int_not_equal(fails(guard, "anna", "10.0.0.3", now), 0);
    }
    assert_int_equal(fails(guard, "anna", "10.0.0.3", 61000), 0);
    guard_destroy(&guard);
}

static void another_login_is_not_delayed(void **state)
{
    (void)state;
    struct guard *guard = make();
    for (int i = 0; i < 5; i++) {
        (void)fails(guard, "anna", "10.0.0.1", 0);
    }
    assert_int_equal(comes_in(guard, "bo", "10.0.0.1", 0), 0);
    guard_destroy(&guard);
}

static void an_address_fails_so_often_with_logins_it_never_had(void **state)
{
    (void)state;
    struct guard *guard = make();
    assert_int_equal(comes_in(guard, "bo", "10.0.0.1", 0), 0);
    for (int i = 0; i < 4; i++) {
        char login[32];
        (void)snprintf(login, sizeof(login), "x%d", i);
        assert_int_equal(fails(guard, login, "10.0.0.1", 0), 0);
    }
    assert_int_equal(fails(guard, "x5", "10.0.0.1", 0), 15000);
    assert_int_equal(fails(guard, "x5", "10.0.0.2", 0), 0); /* nothing was taken of x5's */
    assert_int_equal(fails(guard, "x5", "10.0.0.2", 0), 0);
    /* who has been here before has failures of his own */
    assert_int_equal(comes_in(guard, "bo", "10.0.0.1", 0), 0);
    guard_destroy(&guard);
}

static void strangers_cannot_lock_a_user_out(void **state)
{
    (void)state;
    struct guard *guard = make();
    assert_int_equal(comes_in(guard, "anna", "10.0.0.1", 0), 0);
    for (int i = 0; i < 100; i++) {
        (void)fails(guard, "anna", "192.0.2.7", 0);
    }
    assert_int_not_equal(fails(guard, "anna", "192.0.2.8", 0), 0);
    assert_int_equal(comes_in(guard, "anna", "10.0.0.1", 0), 0);
    /* but at that address too one may fail only so often */
    assert_int_equal(fails(guard, "anna", "10.0.0.1", 0), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.1", 0), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.1", 0), 30000);
    guard_destroy(&guard);
}

/* A flood of names does not make us forget where users come from, and memory is bounded. */
static void known_addresses_outlive_a_flood_of_names(void **state)
{
    (void)state;
    struct guard *guard = make();
    assert_int_equal(comes_in(guard, "anna", "10.0.0.1", 0), 0);
    for (int i = 0; i < 3 * GUARD_LOGINS_MAX; i++) {
        char login[32], host[64];
        (void)snprintf(login, sizeof(login), "x%d", i);
        (void)snprintf(host, sizeof(host), "192.0.%d.%d", i / 250, i % 250);
        (void)fails(guard, login, host, 0);
    }
    (void)fails(guard, "anna", "192.0.2.7", 0);
    (void)fails(guard, "anna", "192.0.2.7", 0);
    assert_int_not_equal(fails(guard, "anna", "192.0.2.7", 0), 0);
    assert_int_equal(comes_in(guard, "anna", "10.0.0.1", 0), 0);
    guard_destroy(&guard);
}

static void the_address_not_used_for_longest_is_forgotten(void **state)
{
    (void)state;
    struct guard *guard = make();
    char host[64];
    for (int i = 0; i <= GUARD_KNOWN_MAX; i++) {
        (void)snprintf(host, sizeof(host), "10.0.0.%d", i);
        assert_int_equal(comes_in(guard, "anna", host, (uint64_t)i), 0);
    }
    (void)fails(guard, "anna", "192.0.2.7", 100);
    (void)fails(guard, "anna", "192.0.2.7", 100);
    assert_int_not_equal(fails(guard, "anna", "10.0.0.0", 100), 0);
    assert_int_equal(fails(guard, "anna", "10.0.0.1", 100), 0);
    guard_destroy(&guard);
}

static void what_was_no_failure_is_given_back_once(void **state)
{
    (void)state;
    struct guard *guard = make();
    struct guard_ticket one = {0}, two = {0};
    struct slice anna = SLICE("anna");
    assert_int_equal(guard_take(guard, anna, "h", 0, &one), 0);
    assert_int_equal(guard_take(guard, anna, "h", 0, &two), 0);
    assert_int_not_equal(fails(guard, "anna", "h", 0), 0);
    guard_give_back(guard, anna, &one, 0);
    guard_give_back(guard, anna, &one, 0);
    assert_int_equal(fails(guard, "anna", "h", 0), 0);
    assert_int_not_equal(fails(guard, "anna", "h", 0), 0);
    guard_destroy(&guard);
}

static void without_limits_everything_is_looked_at(void **state)
{
    (void)state;
    struct guard *guard = guard_create();
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(fails(guard, "anna", "h", 0), 0);
    }
    guard_destroy(&guard);
}

static void refusals_are_remembered_for_a_while(void **state)
{
    (void)state;
    struct guard *guard = make();
    unsigned char hash[SECRET_HASH_BYTES] = {1};
    struct guard_refusal said = {
        .took_ms = 2000, .text = SLICE("NO no"), .challenge = SLICE("e30=")};
    struct guard_refusal out;
    assert_false(guard_find_refusal(guard, hash, 0, &out));
    guard_note_refusal(guard, hash, 1000, &said);
    assert_true(guard_find_refusal(guard, hash, 60999, &out));
    assert_int_equal(out.took_ms, 2000);
    assert_true(slice_eq(out.text, SLICE("NO no")));
    assert_true(slice_eq(out.challenge, SLICE("e30=")));
    assert_false(guard_find_refusal(guard, hash, 61000, &out));
    guard_note_refusal(guard, hash, 61000, &said);
    assert_true(guard_find_refusal(guard, hash, 61001, &out));
    for (int i = 0; i < GUARD_REFUSALS_MAX; i++) {
        unsigned char other[SECRET_HASH_BYTES] = {2};
        memcpy(other + 1, &i, sizeof(i));
        guard_note_refusal(guard, other, 61002, &said);
    }
    assert_false(guard_find_refusal(guard, hash, 61003, &out)); /* the oldest has gone */
    guard_destroy(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_fails_so_often_a_minute),
        cmocka_unit_test(another_login_is_not_delayed),
        cmocka_unit_test(an_address_fails_so_often_with_logins_it_never_had),
        cmocka_unit_test(strangers_cannot_lock_a_user_out),
        cmocka_unit_test(known_addresses_outlive_a_flood_of_names),
        cmocka_unit_test(the_address_not_used_for_longest_is_forgotten),
        cmocka_unit_test(what_was_no_failure_is_given_back_once),
        cmocka_unit_test(without_limits_everything_is_looked_at),
        cmocka_unit_test(refusals_are_remembered_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
