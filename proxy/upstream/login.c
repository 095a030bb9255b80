/* From the greeting to READY.
 *
 *   greeting [CAPABILITY] -> (CAPABILITY) -> STARTTLS -> TLS -> CAPABILITY -> AUTHENTICATE PLAIN |
 * LOGIN
 *     -> CAPABILITY, ID, ENABLE in one flight, what the present knowledge allows; what the answer
 * to CAPABILITY then offers besides, in a second one -> READY
 *
 * RFC 9051 11.1, protocol T41: nothing said before TLS survives it; PREAUTH is never taken, since
 * then nobody has looked at our secret.  Completions do nothing once the link is over. */
#include <string.h>

#include "base/log.h"
#include "imap/respdata.h"
#include "link_p.h"

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
            link->has_qresync = true;
            link->has_condstore = true;
        } else if (slice_eq_nocase(word, SLICE("CONDSTORE"))) {
            link->has_condstore = true;
        }
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
    } else if (r->kind == RESPONSE_ENABLED && link->state == LINK_ENABLE) {
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
    if (st == OK) {
        login_take_code(link, tagged);
    }
    login_go_on(link);
}

static const struct upcmd_ops after_ops = {.done = after_done};

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
        login_send(link, "ENABLE QRESYNC", &after_ops);
    } else {
        login_send(link, "ENABLE CONDSTORE", &after_ops);
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

static void base64_add(struct buf *out, const unsigned char *in, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0);
        buf_add_char(out, digits[v >> 18 & 63]);
        buf_add_char(out, digits[v >> 12 & 63]);
        buf_add_char(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_add_char(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

/* RFC 4616: authzid NUL authcid NUL passwd. */
static void login_add_plain(struct link *link, struct buf *out)
{
    struct buf message;
    buf_init(&message, 0);
    size_t n = link->login.authzid.len + link->login.authcid.len + link->login.password.len + 2;
    (void)buf_room(&message, n); /* once: growing would leave copies behind */
    buf_add(&message, link->login.authzid);
    buf_add_char(&message, '\0');
    buf_add(&message, link->login.authcid);
    buf_add_char(&message, '\0');
    buf_add(&message, link->login.password);
    base64_add(out, (const unsigned char *)message.data, message.len);
    explicit_bzero(message.data, message.len);
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
    /* Twice the octets for quoting, more than base64 needs: the wire does not grow. */
    (void)buf_room(&cmd->wire,
                   128 + 2 * (login->authzid.len + login->authcid.len + login->password.len));
    buf_add_str(&cmd->wire, wire__tag(cmd->tag, tag));
    return cmd;
}

static void login_authenticate(struct link *link)
{
    struct upcmd *cmd = login_command(link);
    buf_add_str(&cmd->wire, " AUTHENTICATE PLAIN");
    if (capability_has(&link->caps, CAP_SASL_IR)) {
        buf_add_char(&cmd->wire, ' ');
    } else {
        buf_add_str(&cmd->wire, "\r\n");
        upcmd__stop(cmd);
    }
    login_add_plain(link, &cmd->wire);
    buf_add_str(&cmd->wire, "\r\n");
    pipeline__add(link, cmd);
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

static void login_begin(struct link *link)
{
    const struct link_login *login = &link->login;
    bool has_plain = capability_has(&link->caps, CAP_AUTH_PLAIN);
    if (has_nul(login->authzid) || has_nul(login->authcid) || has_nul(login->password)) {
        link__lose(link, PROTOCOL, NULL, "a NUL in the login");
        return;
    }
    if (!has_plain && (capability_has(&link->caps, CAP_LOGINDISABLED) || login->authzid.len > 0)) {
        link__lose(link, PROTOCOL, NULL, "the server offers no way to log in that we have");
        return;
    }
    link__goto(link, LINK_LOGIN, has_plain ? "AUTHENTICATE PLAIN" : "LOGIN");
    if (has_plain) {
        login_authenticate(link);
    } else {
        login_plain_login(link);
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
    if (!pipeline__has_internal(link)) {
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
