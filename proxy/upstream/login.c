/* From the greeting to READY.
 *
 *   greeting [CAPABILITY] -> (CAPABILITY) -> STARTTLS -> TLS -> CAPABILITY -> AUTHENTICATE |
 * LOGIN
 *     -> CAPABILITY, ID, ENABLE in one flight, what the present knowledge allows; what the answer
 * to CAPABILITY then offers besides, in a second one -> READY
 * A server whose profile is sure to enable is READY as soon as ID and ENABLE have been sent: the
 * owner's commands follow in the same flight.
 *
 * RFC 9051 11.1, protocol T41: nothing said before TLS survives it; PREAUTH is never taken, since
 * then nobody has looked at our secret.  Completions do nothing once the link is over. */
#include <string.h>

#include "base/log.h"
#include "imap/respdata.h"
#include "link_p.h"
#include "pipeline_p.h"

static void login_go_on(struct link *link);

/* --- knowledge ---------------------------------------------------------------------------------
 */

static void login_note_said(struct link *link, struct slice words)
{
    size_t room = link->said.max - link->said.len;
    if (room > 1) {
        buf_add(&link->said, slice_sub(words, 0, room - 1));
        buf_add_char(&link->said, ' ');
    }
}

static void login_take_capabilities(struct link *link, struct slice words)
{
    capability_parse(words, &link->caps);
    link->has_caps = true;
    login_note_said(link, words);
}

/* Everything known is from a time before a change (TLS, login). */
static void login_forget(struct link *link)
{
    link->has_caps = false;
    memset(&link->caps, 0, sizeof(link->caps));
}

static void login_take_code(struct link *link, const struct response *r)
{
    if (r->code == CODE_CAPABILITY) {
        login_take_capabilities(link, r->code_args);
    }
}

static void login_take_enabled(struct link *link, const struct response *r)
{
    struct slice rest = r->data.text;
    struct slice word;
    while (respdata_word(&rest, &word)) {
        if (slice_eq_nocase(word, SLICE("QRESYNC"))) {
            /* RFC 7162 3.2.3: "[ENABLE QRESYNC] ... also implies enabling of CONDSTORE" */
            link->is_given_qresync = true;
            link->is_given_condstore = true;
        } else if (slice_eq_nocase(word, SLICE("CONDSTORE"))) {
            link->is_given_condstore = true;
        }
    }
    if (!link->presumes) {
        link->has_qresync = link->is_given_qresync;
        link->has_condstore = link->is_given_condstore;
    }
}

void login__untagged(struct link *link, const struct response *r)
{
    if (r->kind == RESPONSE_CAPABILITY) {
        login_take_capabilities(link, r->data.text);
    } else if (r->kind == RESPONSE_STATE) {
        login_take_code(link, r);
    } else if (r->kind == RESPONSE_ID) {
        login_note_said(link, r->data.text);
    } else if (r->kind == RESPONSE_ENABLED && link->asked_enable) {
        login_take_enabled(link, r);
    }
}

/* --- CAPABILITY and STARTTLS -------------------------------------------------------------------
 */

static void login_send(struct link *link, const char *text, const struct upcmd_ops *ops)
{
    char tag[LINK__TAG_MAX];
    struct upcmd *cmd = upcmd__create(link, UPCMD__INTERNAL, ops, link);
    buf_printf(&cmd->wire, "%s %s\r\n", wire__tag(cmd->tag, tag), text);
    pipeline__add(link, cmd);
}

static void capability_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct link *link = arg;
    (void)was_sent;
    if (link__is_over(link)) {
        return;
    }
    if (st != OK) {
        link__lose(link, PROTOCOL, tagged, "CAPABILITY was refused");
        return;
    }
    login_take_code(link, tagged);
    if (!link->has_caps) {
        link__lose(link, PROTOCOL, NULL, "CAPABILITY without an answer");
        return;
    }
    login_go_on(link);
}

static const struct upcmd_ops capability_ops = {.done = capability_done};

static void starttls_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct link *link = arg;
    (void)was_sent;
    if (link__is_over(link)) {
        return;
    }
    if (st != OK) {
        link__lose(link, TLS, tagged, "STARTTLS was refused");
        return;
    }
    login_forget(link);
    buf_reset(&link->said);
    link__goto(link, LINK_TLS, "STARTTLS");
    if (conn_start_tls_client(link->conn, link->env.tls, link->env.upstream->host) != OK) {
        link__lose(link, TLS, NULL, "octets in clear behind the OK of STARTTLS");
    }
}

static const struct upcmd_ops starttls_ops = {.done = starttls_done};

static void login_ask_capabilities(struct link *link)
{
    link__goto(link, LINK_CAPABILITY, "not told");
    login_send(link, "CAPABILITY", &capability_ops);
}

void login__tls_ready(struct link *link)
{
    login_ask_capabilities(link);
}

enum login_way login__choose(const struct upstream_settings *upstream, bool is_loopback,
                             const struct capabilities *caps)
{
    bool is_offered = capability_has(caps, CAP_STARTTLS);
    if (!is_loopback) {
        return is_offered ? LOGIN_STARTTLS : LOGIN_REFUSE;
    }
    /* On loopback TLS gives nothing, and a certificate there rarely has a known issuer: used when
     * the administrator names one, or when the server insists. */
    if (upstream->ca_file != NULL) {
        return is_offered ? LOGIN_STARTTLS : LOGIN_REFUSE;
    }
    return is_offered && capability_has(caps, CAP_LOGINDISABLED) ? LOGIN_STARTTLS
                                                                 : LOGIN_PLAINTEXT;
}

/* --- after the login ---------------------------------------------------------------------------
 */

static void login_end(struct link *link)
{
    link->login = (struct link_login){.password = {NULL, 0}};
    conn_set_secret(link->conn, false);
    link->profile = profile_detect(buf_slice(&link->said));
    if (!link->profile->has_sound_qresync) {
        link->has_qresync = false;
    }
    link__goto(link, LINK_READY, link->profile->name);
    timeout_stop(&link->deadline);
    stats_add(link->env.stats, STAT_links_opened, 1);
    link->last_tagged_ms = evloop_now_ms(link->env.loop);
    pipeline__kick(link);
    link->ops->ready(link->owner, link);
}

/* CAPABILITY, ID, ENABLE: each may fail without harm. */
static void after_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct link *link = arg;
    (void)was_sent;
    if (link__is_over(link)) {
        return;
    }
    if (link->state != LINK_ENABLE) {
        return; /* READY did not wait for it */
    }
    if (st == OK) {
        login_take_code(link, tagged);
    }
    login_go_on(link);
}

static const struct upcmd_ops after_ops = {.done = after_done};

static void enable_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct link *link = arg;
    if (link__is_over(link) || !link->presumes) {
        after_done(arg, st, tagged, was_sent);
        return;
    }
    if (link->has_qresync != link->is_given_qresync ||
        link->has_condstore != link->is_given_condstore) {
        link->presumed_wrongly = true;
        link__lose(link, PROTOCOL, NULL, "ENABLE does not give what is offered");
    }
}

static const struct upcmd_ops enable_ops = {.done = enable_done};

static void login_ask_enable(struct link *link)
{
    const struct profile *profile = profile_detect(buf_slice(&link->said));
    bool may_qresync = profile->has_sound_qresync;
    bool has_qresync = may_qresync && capability_has(&link->caps, CAP_QRESYNC);
    bool has_condstore = capability_has(&link->caps, CAP_CONDSTORE);
    if (!capability_has(&link->caps, CAP_ENABLE) || !(has_qresync || has_condstore)) {
        return;
    }
    link->asked_enable = true;
    if (has_qresync) {
        login_send(link, "ENABLE QRESYNC", &enable_ops);
    } else {
        login_send(link, "ENABLE CONDSTORE", &enable_ops);
    }
    link->presumes = profile->is_sure_to_enable && !link->env.awaits_enable;
    if (link->presumes) {
        link->has_qresync = has_qresync;
        link->has_condstore = true;
    }
}

static void login_ask_rest(struct link *link)
{
    if (!link->asked_id && capability_has(&link->caps, CAP_ID)) {
        link->asked_id = true;
        login_send(link, "ID (\"name\" \"imapcached\")", &after_ops);
    }
    if (link->has_caps && !link->asked_enable) {
        login_ask_enable(link);
    }
}

static void login_begin_rest(struct link *link)
{
    link__goto(link, LINK_ENABLE, "logged in");
    /* has_caps: said in the tagged OK or, as Gmail does, untagged before it. */
    if (!link->has_caps) {
        login_send(link, "CAPABILITY", &after_ops);
    }
    login_go_on(link);
}

/* --- the login ---------------------------------------------------------------------------------
 */

static void login_done(void *arg, enum status st, const struct response *tagged, bool was_sent)
{
    struct link *link = arg;
    (void)was_sent;
    if (link__is_over(link)) {
        return;
    }
    if (st != OK) {
        link__lose(link, st == DENIED ? AUTH : st, tagged, "login: %s %s",
                   response_cond_name(tagged->cond), LOG_Q(tagged->text));
        return;
    }
    login_take_code(link, tagged);
    login_begin_rest(link);
}

static const struct upcmd_ops login_ops = {.done = login_done};

/* In base64 behind what is there. */
static void login_add_message(struct link *link, enum sasl_mech mech, struct buf *out)
{
    const struct link_login *login = &link->login;
    const struct sasl_login parts = {
        .authzid = login->authzid, .authcid = login->authcid, .secret = login->password};
    struct buf message;
    buf_init_secret(&message, 0);
    sasl_write(mech, &parts, slice_str(link->env.upstream->host), link->env.upstream->port,
               &message);
    sasl_base64_encode(buf_slice(&message), out);
    buf_fini(&message);
}

/* Quoted where RFC 3501 allows it, else a literal. */
static void login_add_string(struct upcmd *cmd, struct slice text)
{
    bool is_quotable = true;
    for (size_t i = 0; i < text.len; i++) {
        is_quotable = is_quotable && text.data[i] >= 0x20 && text.data[i] < 0x7f;
    }
    if (!is_quotable) {
        bool is_free = wire__is_free(&cmd->link->caps, text.len);
        buf_printf(&cmd->wire, "{%zu%s}\r\n", text.len, is_free ? "+" : "");
        if (!is_free) {
            upcmd__stop(cmd);
        }
        buf_add(&cmd->wire, text);
        return;
    }
    buf_add_char(&cmd->wire, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\') {
            buf_add_char(&cmd->wire, '\\');
        }
        buf_add_char(&cmd->wire, text.data[i]);
    }
    buf_add_char(&cmd->wire, '"');
}

static struct upcmd *login_command(struct link *link)
{
    char tag[LINK__TAG_MAX];
    const struct link_login *login = &link->login;
    struct upcmd *cmd = upcmd__create(link, UPCMD__INTERNAL | UPCMD__SECRET, &login_ops, link);
    /* Twice the octets for quoting, and for base64 of the message: the wire does not grow. */
    (void)buf_room(&cmd->wire,
                   1024 + 2 * (login->authzid.len + login->authcid.len + login->password.len));
    buf_add_str(&cmd->wire, wire__tag(cmd->tag, tag));
    return cmd;
}

static void login_authenticate(struct link *link, enum sasl_mech mech)
{
    struct upcmd *cmd = login_command(link);
    buf_printf(&cmd->wire, " AUTHENTICATE %s", sasl_name(mech));
    if (capability_has(&link->caps, CAP_SASL_IR)) {
        buf_add_char(&cmd->wire, ' ');
    } else {
        buf_add_str(&cmd->wire, "\r\n");
        upcmd__stop(cmd);
    }
    login_add_message(link, mech, &cmd->wire);
    buf_add_str(&cmd->wire, "\r\n");
    link->login.mech = mech;
    pipeline__add(link, cmd);
}

/* RFC 7628 3.2.3: a token is refused by an error in place of success, which has to be answered
 * before the refusal itself comes.  A password is never asked about; what wants to know more is
 * told that we give up. */
void login__challenge(struct link *link, const struct response *r)
{
    bool is_token = sasl_is_token(link->login.mech);
    if (link->was_challenged) {
        link__lose(link, PROTOCOL, NULL, "asked again in the login");
        return;
    }
    link->was_challenged = true;
    if (is_token && sasl_is_base64(r->text)) {
        buf_add(&link->challenge, r->text);
        if (!buf_ok(&link->challenge)) {
            buf_reset(&link->challenge);
        }
    }
    conn_write(link->conn, slice_str(is_token ? sasl_error_answer(link->login.mech) : "*"));
    conn_write(link->conn, SLICE("\r\n"));
}

static void login_plain_login(struct link *link)
{
    struct upcmd *cmd = login_command(link);
    buf_add_str(&cmd->wire, " LOGIN ");
    login_add_string(cmd, link->login.authcid);
    buf_add_char(&cmd->wire, ' ');
    login_add_string(cmd, link->login.password);
    buf_add_str(&cmd->wire, "\r\n");
    pipeline__add(link, cmd);
}

static bool has_nul(struct slice s)
{
    return slice_find(s, '\0') < s.len;
}

/* What to authenticate by; SASL_MECH_N: by the command LOGIN; SASL_LOGIN, which we do not say to
 * servers: there is no way. */
static enum sasl_mech login_mechanism(const struct link *link)
{
    const struct capabilities *caps = &link->caps;
    bool has_xoauth2 = capability_has(caps, CAP_AUTH_XOAUTH2);
    bool has_bearer = capability_has(caps, CAP_AUTH_OAUTHBEARER);
    if (sasl_is_token(link->login.mech)) {
        bool wants_bearer = link->login.mech == SASL_OAUTHBEARER;
        return has_bearer && (wants_bearer || !has_xoauth2) ? SASL_OAUTHBEARER
               : has_xoauth2                                ? SASL_XOAUTH2
                                                            : SASL_LOGIN;
    }
    if (capability_has(caps, CAP_AUTH_PLAIN)) {
        return SASL_PLAIN;
    }
    return capability_has(caps, CAP_LOGINDISABLED) || link->login.authzid.len > 0 ? SASL_LOGIN
                                                                                  : SASL_MECH_N;
}

static const struct upcmd_ops logout_ops = {.done = NULL};

static void login_begin(struct link *link)
{
    const struct link_login *login = &link->login;
    enum sasl_mech mech = login_mechanism(link);
    link->offered = link->caps.bits;
    link->has_offered = true;
    if (link->is_probe) {
        link__goto(link, LINK_LOGIN, "none, only asked");
        login_send(link, "LOGOUT", &logout_ops); /* its BYE is the end */
        return;
    }
    if (has_nul(login->authzid) || has_nul(login->authcid) || has_nul(login->password)) {
        link__lose(link, PROTOCOL, NULL, "a NUL in the login");
        return;
    }
    if (mech == SASL_LOGIN) {
        link__lose(link, DENIED, NULL, "the server offers no way to log in that we have");
        return;
    }
    link__goto(link, LINK_LOGIN, mech == SASL_MECH_N ? "LOGIN" : sasl_name(mech));
    conn_set_secret(link->conn, true);
    if (mech == SASL_MECH_N) {
        login_plain_login(link);
    } else {
        login_authenticate(link, mech);
    }
    /* What the server can is said anew by the OK, or asked; but whether it takes ID is taken from
     * before, which saves a flight. */
    link->has_caps = false;
}

/* --- steps -------------------------------------------------------------------------------------
 */

static void login_with_what_is_offered(struct link *link)
{
    if (conn_is_tls(link->conn)) {
        login_begin(link);
        return;
    }
    switch (login__choose(link->env.upstream, conn_peer_is_loopback(link->conn), &link->caps)) {
    case LOGIN_PLAINTEXT:
        login_begin(link);
        break;
    case LOGIN_STARTTLS:
        if (link->env.tls == NULL) {
            link__lose(link, TLS, NULL, "TLS is wanted and not configured");
            return;
        }
        link__goto(link, LINK_STARTTLS, "offered");
        login_send(link, "STARTTLS", &starttls_ops);
        break;
    case LOGIN_REFUSE:
        link__lose(link, TLS, NULL, "no STARTTLS offered; no login in clear");
        break;
    }
}

/* Something was learned: the next step of the present state. */
static void login_go_on(struct link *link)
{
    if (link->state != LINK_ENABLE) {
        login_with_what_is_offered(link);
        return;
    }
    login_ask_rest(link);
    if (link->presumes || !pipeline__has_internal(link)) {
        login_end(link);
    }
}

void login__greeting(struct link *link, const struct response *r)
{
    if (r->cond == COND_PREAUTH) {
        link__lose(link, PROTOCOL, NULL, "PREAUTH: the secret would not be looked at");
        return;
    }
    if (r->kind != RESPONSE_STATE || r->cond != COND_OK) {
        link__lose(link, PROTOCOL, NULL, "a greeting that is none");
        return;
    }
    login_note_said(link, r->text);
    login_take_code(link, r);
    if (link->has_caps) {
        login_with_what_is_offered(link);
    } else {
        login_ask_capabilities(link);
    }
}
