"""A stand-in for Azure on loopback; see :mod:`tests.support.azure.stand_in`."""

from tests.support.azure.messages import Refusal as Refusal
from tests.support.azure.stand_in import StandIn as StandIn
