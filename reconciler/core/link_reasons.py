"""The reasons of what lies between the daemon and a source on another machine: the way there, and the login."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.refusals import Reason

LINK_REASONS: Mapping[str, Reason] = {
    "AuthenticationFailed": Reason(
        "The machine of the source does not let the daemon's account in.",
        "Add its public key to ~/.ssh/authorized_keys there, or name the key with `identityFile`; the hint has a "
        "command that must work without a question.",
    ),
    "ConnectionBroken": Reason(
        "The connection to the source's machine ended while it was made; it is tried again.", ""
    ),
    "HostKeyChanged": Reason(
        "The machine of the source shows another host key than the one that is known: somebody may stand in between. "
        "Nothing was sent to it.",
        "Ask who runs it. If it has a new key for a reason that you know, the hint has the command.",
    ),
    "HostKeyRevoked": Reason(
        "The host key of the source's machine is marked as revoked in known_hosts. Nothing was sent to it.",
        "Ask who runs it for its new key.",
    ),
    "HostKeyUnknown": Reason(
        "The host key of the source's machine is not in known_hosts. Nothing was sent to it.",
        "Compare the fingerprint in the message with the machine's own; the hint has the command that adds it.",
    ),
    "HostUnknown": Reason(
        "The name of the source's machine has no address.",
        "Correct the source's `host`, or give the name a HostName in ssh_config.",
    ),
    "HostUnreachable": Reason(
        "The machine of the source does not answer; what runs there goes on, and it is tried again.",
        "See whether it is on and sshd runs there, and whether `host` has the right address and port.",
    ),
    "LoginEnded": Reason(
        "The login on the source ended before Python began: an rc file may end it.",
        "Look at the rc files of the account there: without a terminal they must come to an end, and not exit.",
    ),
    "LoginHung": Reason(
        "The login on the source did not come to Python in time: an rc file may wait for something.",
        "Look at the rc files of the account there: without a terminal they must not wait for anybody.",
    ),
    "LoginTooNoisy": Reason(
        "The rc files of the source's account print more than is waded through.",
        "Let them print nothing when there is no terminal.",
    ),
    "PythonMissing": Reason(
        "There is no Python where the source's agent should find one.",
        "Install Python 3.6 or later there, or name one with the source's `python`.",
    ),
    "PythonTooOld": Reason(
        "The Python of the source is older than 3.6, and cannot run the agent.",
        "Name a newer one with the source's `python`.",
    ),
    "SessionRefused": Reason(
        "The machine of the source opens no more sessions; it is tried again.",
        "See MaxSessions in its sshd_config, and the limits of the account.",
    ),
    "SshConfigInvalid": Reason(
        "What ssh_config or a key file says about the way to the source cannot be used.",
        "See what `ssh -G HOST` makes of it; mend it, or name others with `sshConfig` and `identityFile`.",
    ),
}
