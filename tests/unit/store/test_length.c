/* A data file that ends before the last page its meta page knows of is damaged; one whose last
 * pages were given up in the transaction that took them is not. */
#include "store_fixture.h"

static struct content_writer *stage(struct fixture *f, uint32_t uid, struct slice octets)
{
    struct content_writer *writer;
    assert_int_equal(
        store_content_create(f->store, f->mailbox, uid, SLICE("BODY[]"), octets.len, &writer), OK);
    assert_int_equal(store_content_append(writer, octets), OK);
    return writer;
}

static void survives_content_given_up_in_one_batch(void **state)
{
    struct fixture *f = *state;
    char *octets = calloc(1, 65536);
    struct content_writer *kept = stage(f, 1, slice_of(octets, 65536));
    assert_int_equal(store_content_commit(&kept), OK);
    store_settle(f->store);
    store_poll(f->store);
    struct content_writer *gone = stage(f, 2, slice_of(octets, 65536));
    store_content_abort(&gone);
    fixture_reopen(f);
    struct content_ref ref;
    store_read_begin(f->store);
    assert_int_equal(store_content_find(f->store, f->mailbox, 1, SLICE("BODY[]"), &ref), OK);
    store_read_end(f->store);
    free(octets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives_content_given_up_in_one_batch, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
