"""`Schedule`: several named due times over the one alarm of an object. Plain Python over the storage API."""

from durable.schedule.entry import ScheduleEntry
from durable.schedule.schedule import Schedule

__all__ = ["Schedule", "ScheduleEntry"]
