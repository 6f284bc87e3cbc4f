"""Constants of nature."""

SPEED_OF_LIGHT_MPS = 299_792_458.0
