"""The registered rooms: the one place where a lower room names a higher one, as a string, imported when asked for."""

from tunesmith.core.component import Room
from tunesmith.core.format import FORMATS as FORMATS
from tunesmith.core.method import Method
from tunesmith.core.regularizer import Regularizer
from tunesmith.core.task import Task

TASKS = Room("tunesmith.tasks", Task)
METHODS = Room("tunesmith.methods", Method)
REGULARIZERS = Room("tunesmith.tune.regularizers", Regularizer)
