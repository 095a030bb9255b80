"""What cannot run before a server other than Dovecot, each with its reason; conftest.py skips it there. And what cannot run
beside other tests. A pattern is file::test, parameters included, in the manner of fnmatch."""
import fnmatch

_WORDS = 'compares words, codes or spellings that are Dovecot\'s'
_NAMES = 'names its mailboxes as they are called before Dovecot: not yet by server.box()'
_SEARCHRES = 'compares with SEARCHRES of the upstream, which has none'
_LEGAL = 'open: knows only what a Dovecot may legally answer otherwise; the differential run knows it of each server'

UNFIT = {
    'cyrus': [
        ('test_client_imaplib.py::test_imaplib_full_tour', _WORDS),
        ('test_dialects.py::test_dialect*', _LEGAL),
        ('test_dialects.py::test_apple_mail_on_two_connections', 'a copied user of Cyrus has UIDVALIDITYs of its own'),
        ('test_fetch_lists.py::test_what_cannot_be_taken_out_of_the_longer_list_is_asked',
         'Cyrus refuses mail with header lines that are none'),
        ('test_judge_tap.py::test_throughput', 'open: 200 MB through a Cyrus in memory do not come in time'),
        ('test_offered_search.py::test_saved_result_is*', _SEARCHRES),
        ('test_spine_login.py::test_wrong_password_*', _WORDS),
        ('test_traps.py::test_t31_names_are_opaque_octets', 'Cyrus has no % in names'),
        ('test_truth.py::test_random_items_*', 'Cyrus refuses mail with header lines that are none'),
        ('test_truth.py::test_rename_on_dovecot', 'about Dovecot'),
    ],
    'courier': [
        ('test_client_*', _NAMES),
        ('test_dialects.py::*', _NAMES),
        ('test_fetch_form.py::test_f4_one_line_per_message_however_it_came_together', 'Courier has no PREVIEW'),
        ('test_fetch_form.py::test_f9_literal8_only_for_binary', 'Courier has no BINARY'),
        ('test_fetch_form.py::test_f10_modseq_where_it_belongs_and_nowhere_else', 'Courier has no CONDSTORE'),
        ('test_fetch_lists.py::test_only_names_that_were_asked_for', _NAMES),
        ('test_hostile_client.py::*', _NAMES),
        ('test_judge_tap.py::*', 'about the tap, with LITERAL+ and BINARY, which Courier has not'),
        ('test_made_anew.py::test_t6_made_anew_by_others_while_we_are_inside*',
         'open: who is inside on Courier goes on in the new mailbox, and is told nothing of it'),
        ('test_offered_append.py::*', 'Courier has neither MULTIAPPEND nor BINARY'),
        ('test_offered_search.py::test_saved_result_is*', _SEARCHRES),
        ('test_offered_search.py::*', _NAMES),
        ('test_offered_writes.py::test_store_pipeline_with_condstore_tells_every_modseq', 'Courier has no CONDSTORE'),
        ('test_search_counts.py::test_narrowed_search_stays_narrow?UID 900:*', 'Courier finds nothing beyond the last message'),
        ('test_shared_*.py::*', _NAMES),
        ('test_sort.py::test_a_part_is_asked_about_once_too', 'Courier has no ESEARCH: searches go one after the other'),
        ('test_sort.py::test_what_is_refused_is_refused', 'Courier says NO to what it cannot read'),
        ('test_spine_big.py::*', 'Courier ends a message with CRLF of its own, and 200 MB do not come in time'),
        ('test_spine_edges.py::test_empty_message_is_refused_as_the_upstream_does', 'Courier takes an empty message'),
        ('test_spine_edges.py::test_client_that_removes_the_mailbox_it_is_in*', _NAMES),
        ('test_spine_edges.py::test_t23_*', 'Courier has no CONDSTORE'),
        ('test_spine_injection.py::test_t42_hostile_arguments_stay_arguments*',
         'Courier hangs up on a line that it cannot read'),
        ('test_spine_login.py::test_wrong_password_*', _WORDS + '; it waits five seconds with each refusal'),
        ('test_spine_store.py::test_headers_and_parts_are_cut_from_what_is_cached',
         'Courier ends BODY[HEADER] and RFC822.HEADER of a mail without a blank line differently'),
        ('test_spine_store.py::test_t28_one_connection_for_each_mailbox_in_use', _NAMES),
        ('test_spine_updates.py::test_t13_recent_goes_to_one_session', 'Courier has a \\Recent of its own'),
        ('test_spine_updates.py::*Box*', _NAMES),
        ('test_spine_updates.py::test_t6_deleted_and_made_anew_shows_nothing_old', _NAMES),
        ('test_spine_updates.py::test_t24_condstore_answers', 'Courier has no CONDSTORE'),
        ('test_spine_updates.py::test_qresync_*', 'Courier has no QRESYNC'),
        ('test_spine_updates.py::test_t5_uidvalidity_that_changes_ends_the_sessions', _NAMES),
        ('test_traps.py::test_t3*', _NAMES),
        ('test_truth.py::test_random_items_*', 'open: what Courier says of odd mail differs by the items asked with it'),
        ('test_truth.py::test_rename_on_dovecot', 'about Dovecot'),
    ],
}

# What measures time or memory: tests/run lets nothing run beside these.
ALONE = (
    'test_spine_big.py::*',
    'test_judge_tap.py::test_throughput',
    'test_client_mbsync.py::test_mbsync_of_5000_both_ways',
    'test_hostile_client.py::*',
    'test_hostile_upstream.py::*',
    'test_spine_limits.py::*',
    'test_spine_links.py::*',
    'test_secrets_refusals.py::*',
    'test_secrets_tokens.py::*expires*',
    'test_budget.py::*',
    'test_half_open.py::*',
    'test_fetch_memory.py::*',
)


def _matches(nodeid, pattern):
    # Brackets of parameters are no class of characters here.
    return fnmatch.fnmatchcase(nodeid.rpartition('/')[2], pattern.replace('[', '?'))


def is_alone(nodeid):
    return any(_matches(nodeid, pattern) for pattern in ALONE)


def reason_against(server, nodeid):
    """Why the test cannot run before @server, or None."""
    for pattern, reason in UNFIT.get(server, ()):
        if _matches(nodeid, pattern):
            return reason
    return None
