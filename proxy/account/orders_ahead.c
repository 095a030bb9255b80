/* What makes the order right that a question is about to be told.
 *
 * Dovecot 2.3 numbers the messages of a mailbox by a text when a SORT whose first key it is comes upon
 * one that has no number yet.  That SORT itself puts those that had a number and those that had none
 * wrongly where their texts are equal: by neither the next key nor their place in the mailbox.  The next
 * one is right.  [Measured: of programs that begin with a text, after new mail, two in five are wrong;
 * of others none; a THREAD only where it is such a SORT.]  So one goes before whose order nobody reads:
 * with ESORT it tells a count.  What it numbers may be lost when other sessions number the same at that
 * moment [one in 500 while four did nothing else]: a second one finds that [none in 17,000]. */
#include "feed_p.h"
#include "imap/respdata.h"

static bool is_text(struct slice key)
{
    static const char *const texts[] = {"CC", "DISPLAYFROM", "DISPLAYTO", "FROM", "SUBJECT", "TO"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (slice_eq(key, slice_str(texts[i]))) {
            return true;
        }
    }
    return false;
}

/* The text that comes first in the order, if it is one: also of threads that are a SORT. */
static bool first_text(const struct order_question *question, struct slice *key_out)
{
    struct slice rest = question->program;
    if (question->is_thread) {
        *key_out = SLICE("SUBJECT");
        return slice_eq(rest, SLICE("ORDEREDSUBJECT"));
    }
    while (respdata_word(&rest, key_out) && slice_eq(*key_out, SLICE("REVERSE"))) {
    }
    return is_text(*key_out);
}

/* Its answer may not be taken for that of the question. */
static void choose_sending(bool is_counted, enum profile_order order, struct destination *to)
{
    bool is_one_flight = is_counted && order == ORDER_RIGHT_LATER;
    to->ahead_n = is_one_flight ? 2 : 1;
    to->ahead_flags = is_one_flight ? 0 : UPCMD_SEARCHES;
}

void orders__ahead(const struct account *account, const struct order_question *question,
                   const struct outcmd *messages, struct outcmd *out, struct destination *to)
{
    const struct capabilities *caps = account_capabilities(account);
    const struct profile *profile =
        account->profile != NULL ? account->profile : profile_generic();
    bool is_counted = capability_has(caps, CAP_ESORT);
    struct slice key;
    if (profile->order == ORDER_RIGHT || !capability_has(caps, CAP_SORT) ||
        !first_text(question, &key)) {
        return;
    }
    outcmd_str(out, is_counted ? "UID SORT RETURN (COUNT) (" : "UID SORT (");
    outcmd_token(out, key);
    outcmd_str(out, ") ");
    outcmd_append(out, messages);
    to->ahead = out;
    choose_sending(is_counted, profile->order, to);
}
