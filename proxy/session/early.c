/* SELECT is answered before it is known which messages there are (design section 7).  Until then, and
 * until their flags are known, commands wait that need it; the others run.  Commands with UIDs are
 * among those that wait where their answer has numbers in it, or is cut to what the client was told. */
#include "early_p.h"
#include "search_p.h"

enum { STILL_HERE_MS = 20 * 1000 };

static enum feed_knows fetch_needs(const struct args_fetch *args)
{
    bool wants_flags = args->has_changedsince || args->items.sets_seen || args->items.has_modseq;
    for (size_t i = 0; i < args->items.n; i++) {
        wants_flags = wants_flags || args->items.at[i].kind == FETCH_FLAGS;
    }
    return wants_flags ? FEED_KNOWS_FLAGS : FEED_KNOWS_NUMBERS;
}

/* A long set goes upstream as few runs once it is known what stands between its parts. */
static void note_set(void *arg, const struct search_node *leaf)
{
    enum { PARTS_MAX = 32 };
    bool *waits = arg;
    bool is_set = leaf->key == SEARCH_UID;
    *waits = *waits || (is_set && (leaf->set.has_star || leaf->set.n > PARTS_MAX));
}

/* May it be asked and answered in UIDs below the UIDNEXT that SELECT has told? */
static bool is_by_uid(const struct command *parsed)
{
    const struct args_search *args = &parsed->args.search;
    bool waits = false;
    search_visit(args->root, note_set, &waits);
    return command_is_uid(parsed) && !waits && (args->root->classes & SEARCH_USES_SEQ) == 0 &&
           (args->returns & SEARCH_RETURN_SAVE) == 0;
}

/* Flags are answered from the model; or, while it takes long to learn them, by the upstream, as
 * criteria that it alone can answer are.  \Recent, "$" and modseqs are of the view. */
static enum feed_knows search_needs(const struct session *session, const struct command *parsed)
{
    const struct search_node *root = parsed->args.search.root;
    const unsigned own = SEARCH_USES_SAVED | SEARCH_USES_RECENT | SEARCH_USES_MODSEQ;
    bool is_local = (root->classes & (SEARCH_IS_IMMUTABLE | SEARCH_IS_VOLATILE)) == 0;
    bool uses_flags = is_local || search__uses_flags(root);
    bool may_ask = (root->classes & own) == 0 && feed_may_ask_early(session->feed, !uses_flags);
    if (may_ask && session->view == NULL && is_by_uid(parsed)) {
        return FEED_KNOWS_NOTHING;
    }
    return uses_flags && !(is_local && may_ask) ? FEED_KNOWS_FLAGS : FEED_KNOWS_NUMBERS;
}

static enum feed_knows needs(const struct session *session, const struct job *job)
{
    enum command_id id = job->parsed.info->id;
    if (id == CMD_FETCH) {
        return fetch_needs(&job->parsed.args.fetch);
    }
    if (id == CMD_SEARCH) {
        return search_needs(session, &job->parsed);
    }
    bool numbers = id == CMD_STORE || id == CMD_SORT || id == CMD_THREAD ||
                   id == CMD_COPY || id == CMD_MOVE || id == CMD_EXPUNGE ||
                   (id == CMD_CLOSE && !session->is_read_only);
    return numbers ? FEED_KNOWS_NUMBERS : FEED_KNOWS_NOTHING;
}

bool early__lacks(const struct session *session, const struct job *job)
{
    if (session->state != SESSION_SELECTED || job->parse_status != OK || job->parsed.info == NULL) {
        return false;
    }
    enum feed_knows known =
        session->view == NULL ? FEED_KNOWS_NOTHING : feed_knows(session->feed);
    return needs(session, job) > known;
}

bool early__must_wait(struct session *session, struct job *job)
{
    bool waits = early__lacks(session, job) && !feed_is_away(session->feed);
    if (waits && !session->is_waiting) {
        timeout_start(session->env->loop, &session->still_here, STILL_HERE_MS);
    } else if (!waits && session->is_waiting) {
        timeout_stop(&session->still_here);
    }
    session->is_waiting = waits;
    return waits;
}

uint32_t early__still_here(const struct session *session)
{
    return session->is_waiting ? STILL_HERE_MS : session->is_idling ? SESSION_STILL_HERE_MS : 0;
}

void early__progress(struct session *session)
{
    /* Before it is SELECTED its SELECT has not looked at the feed yet, and opens the view itself. */
    if (session->state == SESSION_SELECTED && session->view == NULL &&
        feed_is_mapped(session->feed) && !session__open_view(session)) {
        return;
    }
    session_wake(session);
}
