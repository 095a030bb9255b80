"""How mail programs really talk, as replayable conversations: the order, the wording, the pipelining of each.

A dialect is a list of steps. A step is one command without its tag (str, or a tuple with Lit parts), a function of
the conversation's Facts giving one, Pipe(...) (several commands in one write) or Idle(). Mailboxes that a dialect
uses are in MAILBOXES. Sources: clients of the same names; wording, case and item order are theirs.
"""
import itertools

from .imapclient import Lit

BIG_UID = 41       # of the mail of 200,000 octets behind the forty others in INBOX
MAILBOXES = ('Trash', 'Sent', 'Drafts', 'Deleted Messages', 'Sent Messages', 'Sent Items', 'Archive')
DATE = '"23-Nov-2026 07:00:00 +0000"'
NOTE = (b'From: Anna <anna@example.com>\r\nTo: Bo <bo@example.com>\r\nSubject: a note\r\n'
        b'Message-ID: <note@example.com>\r\nDate: Mon, 23 Nov 2026 07:00:00 +0000\r\n\r\nas short as it gets\r\n')


class Facts:
    """What the conversation has learnt so far: of the last SELECT and APPEND."""

    def __init__(self):
        self.exists = self.uidnext = self.uidvalidity = self.modseq = 0
        self.append_uid = 1
        self.big = BIG_UID
        self.mailbox = None

    def learn(self, result):
        codes = result.codes()
        for code, name in (('UIDNEXT', 'uidnext'), ('UIDVALIDITY', 'uidvalidity'), ('HIGHESTMODSEQ', 'modseq')):
            if codes.get(code, b'').isdigit():
                setattr(self, name, int(codes[code]))
        if 'APPENDUID' in codes:
            self.append_uid = int(codes['APPENDUID'].split()[1])
        if result.exists is not None:
            self.exists = result.exists


class Pipe(tuple):
    """Commands sent in one write, answered in any order."""

    def __new__(cls, *commands):
        return super().__new__(cls, commands)


class Idle:
    """IDLE, nothing happens, DONE; what is heard meanwhile is an update like any other. news: a new mail comes from
    elsewhere meanwhile, and the program says DONE at the first untagged line, as Thunderbird and K-9 do."""

    def __init__(self, news=False):
        self.news = news


def tags_of(name):
    """Endless tags as that program makes them."""
    forms = {'thunderbird': '%d', 'apple-macos': '%d.81', 'apple-ios': 'A%d', 'outlook': '%04x', 'outlook-new':
             'WIR%05d', 'neomutt': 'a%04d', 'imapflow': '%X', 'roundcube': 'A%04d', 'imaplib': 'ABCD%d'}
    return (forms.get(name, 'A%d') % n for n in itertools.count(37))


_TB_FIELDS = ('From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To '
              'Content-Type Reply-To Received')
_APPLE_FIELDS = ('date subject from to cc message-id in-reply-to references content-type x-priority '
                 'x-uniform-type-identifier x-universally-unique-identifier list-id list-unsubscribe bimi-indicator '
                 'bimi-location x-bimi-indicator-hash authentication-results dkim-signature')
_K9_FIELDS = ('date subject from content-type to cc bcc reply-to message-id references in-reply-to list-post '
              'list-unsubscribe sender X-K9mail-Identity Chat-Version')
_MUTT_FIELDS = ('DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO '
                'REPLY-TO LINES LIST-POST LIST-SUBSCRIBE LIST-UNSUBSCRIBE X-LABEL X-ORIGINAL-TO')
_ROUND_FIELDS = ('DATE FROM TO SUBJECT CONTENT-TYPE CC REPLY-TO LIST-POST DISPOSITION-NOTIFICATION-TO X-PRIORITY')

DIALECTS = {
    'thunderbird': [
        'capability', 'namespace', 'COMPRESS DEFLATE', 'ENABLE CONDSTORE', 'ID ("name" "Thunderbird" "version" "153.0")',
        'ENABLE UTF8=ACCEPT',
        'list (subscribed) "" "*" return (special-use)', 'lsub "" "*"', 'list "" "INBOX"',
        'select "INBOX"', 'getquotaroot "INBOX"', 'UID fetch 1:* (FLAGS)',
        'UID fetch 1:12 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (%s)])' % _TB_FIELDS,
        'UID fetch 1:3 (UID X-GM-MSGID X-GM-THRID X-GM-LABELS RFC822.SIZE FLAGS)',
        'UID fetch 3 (UID RFC822.SIZE BODY.PEEK[])', 'UID fetch 39 (UID RFC822.SIZE RFC822.peek)',
        'UID fetch 4 (UID BODY.PEEK[HEADER.FIELDS (Content-Type Content-Transfer-Encoding)] '
        'BODY.PEEK[TEXT]<0.2048>)', Idle(),
        'UID fetch 5 (UID RFC822.SIZE BODY[])',
        'UID fetch 6 (UID RFC822.SIZE BODY[]<0.700>)', 'UID fetch 6 (UID RFC822.SIZE BODY[]<700.900>)',
        'UID fetch 6 (UID RFC822.SIZE BODY[]<1600.999999>)',
        lambda f: 'UID fetch %d (UID RFC822.SIZE BODY[]<0.65536>)' % f.big,
        lambda f: 'UID fetch %d (UID RFC822.SIZE BODY[]<65536.73728>)' % f.big,
        lambda f: 'UID fetch %d (UID RFC822.SIZE BODY[]<139264.81920>)' % f.big,
        'UID fetch 7 (BODY[1.MIME])', 'UID fetch 7 (BODY.PEEK[2])', 'UID fetch 8 (BODY[HEADER])',
        ('uid SEARCH CHARSET UTF-8 UNDELETED (OR SUBJECT ', Lit(b'order'), ' FROM ', Lit(b'Anna'), ')'),
        'uid SEARCH SENTSINCE 1-Jan-2019 SENTBEFORE 1-Jan-2030', 'uid SEARCH BODY "garden"',
        'uid SEARCH SENTON 4-Jul-2020', 'uid SEARCH TEXT "order" TO "Bo"', 'uid SEARCH OR CC "bo" KEYWORD $Forwarded',
        'uid SEARCH UNKEYWORD $Forwarded NOT SUBJECT "x"', 'uid SEARCH OLD SEEN', 'uid SEARCH LARGER 1000 SMALLER 30000', 'uid SEARCH HEADER "X-None" ""',
        'uid store 3 +Flags (\\Seen)', 'uid store 3 -Flags (\\Flagged)', 'uid store 3 +Flags (\\Seen)',
        'uid move 9,10 "Trash"', 'uid copy 11 "Trash"', 'uid store 11 +Flags (\\Deleted \\Seen)', 'uid expunge 11',
        ('append "Sent" (\\Seen) %s ' % DATE, Lit(NOTE, sync=False)), 'noop',
        ('append "Drafts" (\\Seen \\Draft) %s ' % DATE, Lit(NOTE)), ('append "Drafts" (\\Seen \\Draft) ', Lit(NOTE, sync=False)),
        'select "Drafts"', 'uid SEARCH UNDELETED HEADER Message-ID <note@example.com>',
        Idle(news=True), 'noop', lambda f: 'UID fetch %d:* (FLAGS)' % f.uidnext,
        'STATUS "Sent" (UIDNEXT MESSAGES UNSEEN RECENT)', 'select "Sent"',
        lambda f: 'UID fetch %d (UID RFC822.SIZE BODY.PEEK[])' % f.append_uid,
        'check', 'select "INBOX"', lambda f: 'UID fetch %d:* (FLAGS)' % f.uidnext, 'expunge', 'close'],
    'thunderbird-condstore': [
        'ENABLE CONDSTORE', 'select "INBOX" (CONDSTORE)', lambda f: 'UID fetch 1:* (FLAGS) (CHANGEDSINCE %d)' % f.modseq,
        'UID fetch 1:* (FLAGS) (CHANGEDSINCE 1)', 'uid store 2 +Flags (\\Answered)', Idle(), 'noop', 'close'],
    'apple-macos': [
        'CAPABILITY', 'ID ("name" "Mac OS X Mail" "version" "16.0 (3731.700.6)" "os" "Mac OS X" "os-version" '
        '"13.5.2 (22G91)" "vendor" "Apple Inc.")', 'LIST "" ""', 'LSUB "" *', 'LIST "" * RETURN (SPECIAL-USE)', 'NAMESPACE',
        'STATUS "Deleted Messages" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)',
        'STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)',
        'SELECT INBOX (CONDSTORE)', 'FETCH 1:12 (FLAGS UID)', 'FETCH 1:12 (FLAGS UID MODSEQ)',
        'FETCH 2:11 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (%s)])' % _APPLE_FIELDS,
        'FETCH 1:* (FLAGS UID BODY.PEEK[HEADER.FIELDS (content-class)])',
        'UID FETCH 5 (BODYSTRUCTURE BODY.PEEK[HEADER])', 'UID FETCH 5 BODY.PEEK[HEADER]', 'UID FETCH 5 BODY.PEEK[1]',
        'UID FETCH 5 BODY.PEEK[]<0.2000>', 'UID FETCH 6 (BODY.PEEK[3]<0.5877469> BODY.PEEK[1] BODY.PEEK[2])',
        lambda f: 'UID FETCH %d (BODY.PEEK[1]<0.120000> BODY.PEEK[2])' % f.big,
        lambda f: 'UID FETCH %d BODY.PEEK[1]<120000.2925661>' % f.big, 'UID FETCH 6 BODY.PEEK[2]<100.2925661>', 'UID STORE 5 +FLAGS.SILENT (\\Seen)',
        'UID MOVE 12 "Deleted Messages"', 'UID COPY 13 "Deleted Messages"', 'UID STORE 13 +FLAGS.SILENT (\\Deleted)',
        'EXPUNGE', ('APPEND "Sent Messages" (\\Seen $NotJunk NotJunk) %s ' % DATE, Lit(NOTE)),
        ('APPEND Drafts (\\Draft \\Seen) %s ' % DATE, Lit(NOTE)), Idle(), 'STATUS INBOX (MESSAGES UIDNEXT)',
        'UID FETCH 1:* (FLAGS)', 'CLOSE'],
    'apple-ios': [
        'ID ("name" "iPhone Mail" "version" "22C161" "os" "iOS" "os-version" "18.2.1 (22C161)" "event" NIL)',
        Pipe('NAMESPACE', 'LIST "" "*" RETURN (SPECIAL-USE)'),
        Pipe('SELECT INBOX (CONDSTORE)', 'UID SEARCH RETURN (ALL) 1:*', 'UID SEARCH RETURN (COUNT MIN MAX) UNSEEN'),
        lambda f: 'UID FETCH 1:10 (UID FLAGS) (CHANGEDSINCE %d)' % f.modseq,
        Pipe('UID FETCH 1:9 (INTERNALDATE RFC822.SIZE FLAGS BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (%s)])' % _APPLE_FIELDS,
             'UID FETCH 3 BODY.PEEK[]', 'UID FETCH 4 BODY.PEEK[]', 'UID FETCH 5 (BODY.PEEK[1] BODY.PEEK[2])'),
        Pipe('UID STORE 4 +FLAGS (\\Flagged)', 'UID FETCH 4 (FLAGS)', 'NOOP'),
        Pipe('UID MOVE 14 "Trash"', 'STATUS Trash (MESSAGES UIDNEXT)'), Idle(),
        Pipe('UID SEARCH RETURN (COUNT) ALL', 'CLOSE', 'LIST "" "%"')],
    'outlook': [
        'CAPABILITY', 'ID ("name" "Microsoft Outlook")', 'LIST "" "*"', 'LSUB "" "*"', Idle(), 'SELECT "INBOX"', 'UID SEARCH 1:50 SINCE 01-Sep-2019',
        'UID FETCH 1:* (UID FLAGS)', 'UID FETCH 1:9 (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER] INTERNALDATE)',
        'UID FETCH 1:9 (UID FLAGS RFC822.SIZE BODY.PEEK[] INTERNALDATE)', 'UID FETCH 5 (UID FLAGS BODY.PEEK[])',
        'UID FETCH 6 (UID FLAGS RFC822.SIZE RFC822.HEADER INTERNALDATE)', 'UID FETCH 6 (RFC822)',
        'UID FETCH 7 (UID FLAGS RFC822.PEEK)', Idle(), Idle(news=True), 'UID COPY 8 "Trash"', 'UID MOVE 9 "Trash"',
        'UID STORE 6 +FLAGS (\\Seen)', 'UID STORE 15 +FLAGS (\\Deleted)', 'EXPUNGE',
        ('APPEND "Sent Items" (\\Seen) ', Lit(NOTE)), 'NOOP', 'SELECT "Sent Items"', 'UID FETCH 1:* (UID FLAGS BODY.PEEK[])',
        'CLOSE'],
    'outlook-mac': [
        'SELECT INBOX', 'UID FETCH 21:30 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])',
        'UID FETCH 11:20 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])',
        'UID FETCH 1:10 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])', 'UID STORE 2 +FLAGS (\\Deleted)', 'EXPUNGE'],
    'outlook-new': [
        'CAPABILITY', 'ENABLE CONDSTORE QRESYNC', 'LIST "" "*" RETURN (SPECIAL-USE)', 'SELECT "INBOX"',
        'FETCH 1:* (UID FLAGS)', 'FETCH 3:7 (UID BODY.PEEK[HEADER])',
        'UID FETCH 3:5 (BODY.PEEK[HEADER.FIELDS (Subject From)] BODYSTRUCTURE)', 'UID FETCH 3 (BODY.PEEK[1.MIME] BODY.PEEK[1])', 'LOGOUT'],
    'k9': [
        'CAPABILITY', 'ID ("name" "K-9 Mail" "version" "8.0")', 'COMPRESS DEFLATE', 'NAMESPACE', 'LIST "" ""', 'SELECT "INBOX"',
        'NOOP', 'STATUS "Sent" (UIDVALIDITY)', 'UID SEARCH 1:50 SINCE 1-Jan-2018 NOT DELETED', 'UID SEARCH *:*',
        'SEARCH 1:* UNSEEN NOT DELETED', 'UID FETCH 1,2,3,5,8 (UID FLAGS)',
        'UID FETCH 1,2,3,5,8 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (%s)])' % _K9_FIELDS,
        'UID FETCH 3 (UID BODY.PEEK[]<0.32768>)', 'UID FETCH 7 (UID BODYSTRUCTURE)', 'UID FETCH 7 (UID BODY.PEEK[1.2])',
        'UID FETCH 8 (UID BODY.PEEK[TEXT]<0.500>)', 'UID STORE 3 +FLAGS.SILENT (\\Seen)', 'UID MOVE 16 "Trash"',
        ('APPEND "Sent" (\\Seen) ', Lit(NOTE)), 'UID SEARCH HEADER MESSAGE-ID <note@example.com>', Idle(), Idle(news=True),
        'UID FETCH 1:* (UID FLAGS)', 'UID SEARCH *:*', 'CLOSE'],
    'fairemail': [
        'SELECT INBOX', 'FETCH 1:10 (UID FLAGS)', 'UID FETCH 1:5,7,9:12 (UID FLAGS)',
        'FETCH 5 (ENVELOPE INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER])', 'FETCH 5 (BODY.PEEK[1]<0.16384>)',
        'FETCH 5 (BODY.PEEK[1]<16384.16384>)', 'SEARCH SINCE 1-Jan-2020 ALL', 'STATUS INBOX (MESSAGES RECENT UNSEEN UIDNEXT UIDVALIDITY)',
        Idle(), 'UID EXPUNGE 1:3', 'CLOSE'],
    'neomutt': [
        Pipe('CAPABILITY'), Pipe('ID ("name" "NeoMutt" "version" "2026")', 'ENABLE UTF8=ACCEPT', 'ENABLE QRESYNC', 'LIST "" ""',
                                 'LSUB "" "*"'), 'STATUS "INBOX" (UIDNEXT UIDVALIDITY UNSEEN MESSAGES)', 'SELECT "INBOX" (CONDSTORE)',
        'FETCH 1:20 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (%s)])' % _MUTT_FIELDS,
        lambda f: 'UID FETCH 1:%d (FLAGS) (CHANGEDSINCE %d VANISHED)' % (f.uidnext - 1, f.modseq),
        'UID FETCH 3 BODY.PEEK[]', 'UID FETCH 17 BODY[]', 'UID STORE 3 +FLAGS.SILENT (\\Answered)', 'UID COPY 17 "Archive"',
        'UID STORE 17 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE', 'UID SEARCH SUBJECT "order"', 'NOOP',
        lambda f: 'SELECT "INBOX" (QRESYNC (%d %d))' % (f.uidvalidity, f.modseq), 'CLOSE'],
    'mbsync': [
        'CAPABILITY', 'NAMESPACE', 'LIST "" "*"', 'SELECT "INBOX"',
        'UID FETCH 1:1000 (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-TUID MESSAGE-ID)])',
        Pipe(*['UID FETCH %d (INTERNALDATE FLAGS BODY.PEEK[])' % n for n in range(1, 31)]),
        Pipe('UID STORE 3 +FLAGS.SILENT (\\Seen)', 'UID STORE 4 +FLAGS.SILENT (\\Flagged)', 'UID STORE 3 -FLAGS.SILENT (\\Flagged)'),
        ('APPEND "INBOX" (\\Seen) %s ' % DATE, Lit(NOTE, sync=False)), 'CHECK',
        lambda f: 'UID FETCH %d:1000000000 (UID BODY.PEEK[HEADER.FIELDS (X-TUID)])' % f.uidnext,
        'UID MOVE 18 "nosuch"', 'CREATE "nosuch"', 'UID MOVE 18 "nosuch"', 'DELETE "nosuch"',
        'SELECT "Archive"', 'UID FETCH * (UID)', 'UID EXPUNGE 1:20', 'CLOSE'],
    'offlineimap': [
        'CAPABILITY', 'LIST "" "*"', 'EXAMINE INBOX', 'FETCH 1:* (FLAGS UID INTERNALDATE)', 'SELECT INBOX',
        'SEARCH SINCE 1-Jan-2019 SMALLER 100000', 'UID FETCH 3 (BODY.PEEK[])', 'UID SEARCH HEADER X-OfflineIMAP v',
        'UID FETCH 25:* rfc822.header', ('APPEND Archive (\\Seen) %s ' % DATE, Lit(NOTE)), 'CHECK',
        'UID STORE 3 +FLAGS (\\Seen)', 'UID STORE 19 +FLAGS (\\Deleted)', 'EXPUNGE', 'NOOP', Idle(), 'CLOSE'],
    'imapflow': [
        'CAPABILITY', 'ID ("name" "imapflow" "version" "1.0")', 'NAMESPACE', 'COMPRESS DEFLATE',
        'ENABLE CONDSTORE UTF8=ACCEPT QRESYNC IMAP4rev2',
        'LIST "" "*" RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN))', 'LSUB "" "*"', 'SELECT INBOX',
        lambda f: 'SELECT INBOX (QRESYNC (%d %d))' % (f.uidvalidity, f.modseq),
        'FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)', 'UID FETCH 3 (UID MODSEQ BODY.PEEK[1]<0.100>)',
        'UID SEARCH RETURN (COUNT) UNSEEN', 'UID STORE 3 (UNCHANGEDSINCE 1) +FLAGS (\\Flagged)', Idle(), 'UNSELECT'],
    'roundcube': [
        'ID ("name" "Roundcube" "version" "1.7")', 'NAMESPACE',
        'LIST (SUBSCRIBED) "" * RETURN (SPECIAL-USE)', 'SELECT INBOX', 'UID SEARCH RETURN (ALL COUNT) ALL UNDELETED',
        'UID FETCH 30:1 (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (%s)])' % _ROUND_FIELDS,
        'UID FETCH 5 (UID BODYSTRUCTURE)', 'UID FETCH 7 (BODY.PEEK[1.2]<0.1000>)', 'UID FETCH 7 BODY.PEEK[1]',
        'ENABLE QRESYNC', lambda f: 'SELECT INBOX (QRESYNC (%d %d))' % (f.uidvalidity, f.modseq),
        lambda f: 'UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE %d VANISHED)' % f.modseq,
        'UID THREAD REFS UTF-8 ALL', 'UID SORT (REVERSE ARRIVAL) UTF-8 ALL', 'UID STORE 7 +FLAGS.SILENT (\\Seen)', 'LOGOUT'],
    'imapsync': [
        'CAPABILITY', 'NAMESPACE', 'LIST "" "*"', 'STATUS "INBOX" (MESSAGES UIDNEXT UIDVALIDITY)', 'SELECT "INBOX"',
        'UID SEARCH ALL', 'UID FETCH %s (FLAGS INTERNALDATE RFC822.SIZE)' % ','.join(map(str, range(1, 41))),
        'UID FETCH %s (BODY.PEEK[HEADER.FIELDS (Message-Id Received)])' % ','.join(map(str, range(1, 41))),
        'UID FETCH 5 BODY.PEEK[]', 'UID FETCH 5 (FLAGS)', 'CHECK', ('APPEND "Archive" (\\Seen) %s ' % DATE, Lit(NOTE)),
        'UID STORE 5 +FLAGS.SILENT (\\Deleted)', 'EXPUNGE', 'LOGOUT'],
    'imaplib': [
        'SELECT INBOX', 'SEARCH UNSEEN', 'SEARCH CHARSET UTF-8 SUBJECT "order"', 'FETCH 1 (RFC822)', 'FETCH 1:3 (RFC822.SIZE ENVELOPE)',
        'UID FETCH 1:3 FULL', 'FETCH 20 BODY', 'STORE 2 +FLAGS \\Deleted', 'EXPUNGE', 'FETCH 9999 FLAGS', 'LOGOUT'],
}
