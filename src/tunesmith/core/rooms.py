"""The registered rooms: the one place where a lower room names a higher one, as a string, imported when asked for."""

from tunesmith.core.component import Room
from tunesmith.core.format import FORMATS as FORMATS
from tunesmith.core.method import Method
from tunesmith.core.regularizer import Regularizer
from tunesmith.core.task import Task
from tunesmith.core.tracker import Tracker

TASKS = Room("tunesmith.tasks", Task)  # type: ignore[type-abstract]
METHODS = Room("tunesmith.methods", Method)  # type: ignore[type-abstract]
REGULARIZERS = Room("tunesmith.tune.regularizers", Regularizer)  # type: ignore[type-abstract]
TRACKERS = Room("tunesmith.run.trackers", Tracker)  # type: ignore[type-abstract]
