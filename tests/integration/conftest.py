"""Fixtures of the integration tests. The proxy ones need IMAPCACHED_BIN. The upstream is a Dovecot, or what
IMAPCACHED_SERVER names: dovecot, cyrus, courier (conf/servers unpacks the latter two). A test that names mailboxes calls
them server.box('Work/deep'); one that is about Dovecot alone takes `dovecot` and is skipped elsewhere."""
import os
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / 'support'), str(pathlib.Path(__file__).resolve().parent)]

from imapjudge import fakeserver, imapclient, link as judge_link, proxy as judge_proxy, servers  # noqa: E402
from imapjudge import tap as judge_tap  # noqa: E402

import unfit  # noqa: E402

SERVER = os.environ.get('IMAPCACHED_SERVER') or 'dovecot'


def pytest_configure(config):
    config.addinivalue_line('markers', 'alone: measures time or memory, so nothing may run beside it')


def pytest_collection_modifyitems(config, items):
    """Before another server than Dovecot only what concerns the server, and can run there."""
    for item in items:
        reason = unfit.reason_against(SERVER, item.nodeid)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        if unfit.is_alone(item.nodeid):
            item.add_marker('alone')
    if SERVER != 'dovecot':
        others = [item for item in items if 'server' not in item.fixturenames]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if 'server' in item.fixturenames]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Fixtures see how their test went: request.node.report_call."""
    report = (yield).get_result()
    setattr(item, 'report_' + report.when, report)
    if report.when == 'call' and report.failed:
        for title, text in getattr(item, 'judge_logs', lambda: [])():
            report.sections.append((title, text))


def _log_of(request, title, read):
    """On failure the report of this test gets what read() gives then."""
    logs = getattr(request.node, 'judge_logs', lambda: [])
    request.node.judge_logs = lambda: logs() + [(title, read())]


@pytest.fixture(scope='session')
def server_of_run():
    """One upstream for the whole run."""
    with servers.KINDS[SERVER](users=50) as running:
        yield running


@pytest.fixture
def server(server_of_run, request):
    """The run's upstream; its log is shown when the test fails."""
    _log_of(request, server_of_run.facts.title + ' log', server_of_run.log)
    return server_of_run


@pytest.fixture
def dovecot(request):
    """The upstream, for a test that only a Dovecot can bear."""
    if SERVER != 'dovecot':
        pytest.skip('about Dovecot')
    return request.getfixturevalue('server')


@pytest.fixture
def user(server):
    """A login of that upstream nobody has used, password "pw", empty INBOX."""
    return server.new_user()


@pytest.fixture
def tap(server):
    """A counting tap before the upstream's cleartext port; proxy() stands before it."""
    with judge_tap.Tap(server.port) as relay:
        yield relay


@pytest.fixture
def link(server):
    """A link emulator before the upstream, without delay until link.shape()."""
    with judge_link.Link(server.port) as relay:
        yield relay


@pytest.fixture
def fake():
    """A scripted server, already listening; errors of its scripts fail the test."""
    with fakeserver.FakeServer() as server:
        yield server
    assert not server.errors, server.errors


@pytest.fixture
def make_proxy(tmp_path, request):
    """make_proxy(upstream_port, *more arguments, ...) -> running imapjudge.proxy.Proxy (or another @kind), ended and
    checked after the test: it has to leave with status 0 on SIGTERM, so a sanitizer's report fails the test."""
    binary = os.environ.get('IMAPCACHED_BIN')
    if not binary:
        pytest.skip('IMAPCACHED_BIN is not set')
    made = []

    def make(upstream_port, *arguments, kind=judge_proxy.Proxy, **options):
        if arguments:
            options['arguments'] = arguments
        instance = kind(binary, upstream_port, tmp_path / ('proxy%d' % len(made)), **options)
        made.append(instance)
        _log_of(request, 'imapcached log', instance.log)
        return instance.start()
    yield make
    ended = [instance.end() for instance in made]
    for instance, (status, problem) in zip(made, ended):
        assert status == 0 and not problem, 'imapcached ended with %s %s\n%s' % (status, problem, instance.log())


@pytest.fixture
def proxy(make_proxy, tap):
    """imapcached before the tap before the upstream."""
    return make_proxy(tap.port)


@pytest.fixture
def connect(request):
    """connect(port, user) -> logged-in client, closed after the test; its transcript is shown on failure."""
    clients = []

    def make(port, user=None, password='pw', **options):
        client = imapclient.IMAPClient('127.0.0.1', port, name='c%d' % (len(clients) + 1), **options)
        clients.append(client)
        return client.login(user, password) if user else client
    _log_of(request, 'transcripts', lambda: '\n\n'.join(c.dump(30) for c in clients))
    yield make
    for client in clients:
        client.close()
