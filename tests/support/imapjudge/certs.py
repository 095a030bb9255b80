"""A private CA and server certificates, by the openssl program."""
import pathlib
import subprocess


def _openssl(*args):
    subprocess.run(('openssl',) + args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_ca(folder, name='Test CA'):
    """Writes ca.pem and ca.key; returns the path of ca.pem."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30',
             '-subj', '/CN=' + name, '-keyout', str(folder / 'ca.key'), '-out', str(folder / 'ca.pem'))
    return folder / 'ca.pem'


def make_cert(folder, name='server', hosts=('localhost',), addresses=('127.0.0.1',)):
    """Writes <name>.pem (chain) and <name>.key signed by the CA of that folder; returns both paths."""
    folder = pathlib.Path(folder)
    cert, key, request = (folder / (name + end) for end in ('.pem', '.key', '.csr'))
    _openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=' + hosts[0],
             '-keyout', str(key), '-out', str(request))
    names = ','.join(['DNS:' + h for h in hosts] + ['IP:' + a for a in addresses])
    extensions = folder / (name + '.ext')
    extensions.write_text('subjectAltName=%s\nbasicConstraints=CA:FALSE\n' % names)
    _openssl('x509', '-req', '-in', str(request), '-CA', str(folder / 'ca.pem'), '-CAkey', str(folder / 'ca.key'),
             '-CAcreateserial', '-days', '30', '-extfile', str(extensions), '-out', str(cert))
    return cert, key
