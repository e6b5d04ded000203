"""Keys of what is known of people, as tests have them: new ones in every process."""

import base64
import os
from typing import Final

import orjson

from authsvc.privacy.keys import Privacy


def keys_text(*versions: int) -> str:
    """What may stand in AUTHSVC_PRIVACY_KEYS; the last version seals."""
    keys = {str(version): base64.b64encode(os.urandom(32)).decode() for version in versions}
    index = base64.b64encode(os.urandom(32)).decode()
    return orjson.dumps({"current": versions[-1], "keys": keys, "index": index}).decode()


KEYS_TEXT: Final = keys_text(1)
UNDER_KEYS: Final = Privacy(None, KEYS_TEXT, os.urandom)
