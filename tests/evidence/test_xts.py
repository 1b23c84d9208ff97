"""Sectors that are deciphered together come out as the library deciphers them one by one, and as the standard says."""

import random

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from forensics.evidence import xts


def test_many_sectors_at_once_are_as_the_library_deciphers_each() -> None:
    chance = random.Random(1)
    for size in (32, 64):
        for step in (512, 4096):
            for count in (1, 2, 7, 40):
                key, data = chance.randbytes(size), chance.randbytes(step * count)
                numbers = [chance.choice((chance.randrange(1 << 40), number, (1 << 64) - 1)) for number in range(count)]
                wanted = b"".join(
                    Cipher(algorithms.AES(key), modes.XTS(number.to_bytes(16, "little"))).decryptor().update(data[at : at + step])
                    for at, number in zip(range(0, len(data), step), numbers, strict=True)
                )
                assert xts.decrypt(key, data, numbers, step) == wanted


def test_a_vector_of_the_standard_is_deciphered() -> None:
    # IEEE 1619-2007, vector 4: keys 2718... and 3141..., data unit 0, plain text 00 01 02 ... ff twice
    key = bytes.fromhex("27182818284590452353602874713526" + "31415926535897932384626433832795")
    begin = bytes.fromhex("27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c")
    clear = bytes(range(256)) * 2
    cipher = Cipher(algorithms.AES(key), modes.XTS(bytes(16))).encryptor().update(clear)
    assert cipher.startswith(begin)
    assert xts.decrypt(key, cipher, [0], 512) == clear
