"""Asks the real libpam: for each service named on standard input, whether nurse is let in with a wrong and with the right password."""
import ctypes
import ctypes.util
import sys

pam = ctypes.CDLL("libpam.so.0")
libc = ctypes.CDLL("libc.so.6")
libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]


class Response(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]


Converse = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_ = [("converse", Converse), ("data", ctypes.c_void_p)]


def authenticate(service, password):
    def converse(n, _messages, responses, _data):
        at = libc.calloc(n, ctypes.sizeof(Response))
        for r in (Response * n).from_address(at):
            r.text = libc.strdup(password.encode())
        responses[0] = at
        return 0

    keep = Converse(converse)
    handle = ctypes.c_void_p()
    if pam.pam_start(service.encode(), b"nurse", ctypes.byref(Conversation(keep, None)), ctypes.byref(handle)) != 0:
        return False
    code = pam.pam_authenticate(handle, 0)
    pam.pam_end(handle, code)
    return code == 0


for service in sys.stdin.read().split():
    print(service, authenticate(service, "wrong"), authenticate(service, "nurse"), flush=True)
